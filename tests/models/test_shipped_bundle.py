"""The shipped bundle of experts: complete, small, with a card, and the default."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from expertrag import models
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.settings import GENERAL

TEXTS = [
    "Total revenue increased by 12 % to $4.5 million in fiscal 2019, due to subscription sales.",
    "Write the list as JSON to a file: json.dump(items, open('out.json', 'w'))",
    "Zorp blee.",
]


def test_it_is_the_embedder_of_new_stores(shipped: SentenceTransformerEmbedder) -> None:
    assert shipped.name == models.SHIPPED[0]
    assert set(shipped.experts) == {
        "science",
        "biomedicine",
        "finance",
        "technical",
        "encyclopedia",
    }


def test_its_folder_is_small_and_has_a_card() -> None:
    folder = Path(models.resolve(models.SHIPPED[0]))
    assert sum(path.stat().st_size for path in folder.iterdir()) < 10_000_000
    card = (folder / "README.md").read_text()
    settings = json.loads((folder / "experts.json").read_text())
    assert settings["base"]["name"] == "all-minilm-l6-v2"
    for expert in settings["training"]["experts"]:
        assert f"| {expert['domain']} |" in card
        assert not {"policyqa", "cosqa"} & set(expert["sources"])  # their licences forbid it


def test_its_general_expert_is_the_base_model(
    shipped: SentenceTransformerEmbedder, minilm_path: Path
) -> None:
    base = load_embedder(str(minilm_path))
    own = shipped.encode_documents(TEXTS, GENERAL)
    assert np.array_equal(own, base.encode_documents(TEXTS))
    assert shipped.fingerprint_of_expert(GENERAL) == base.fingerprint


def test_its_router_knows_its_domains(shipped: SentenceTransformerEmbedder) -> None:
    names = (*shipped.experts, GENERAL)
    posteriors = shipped.posteriors(TEXTS)
    likeliest = [names[column] for column in posteriors.argmax(axis=1)]
    assert likeliest == ["finance", "technical", GENERAL]
    assert np.allclose(posteriors.sum(axis=1), 1, atol=1e-4)
