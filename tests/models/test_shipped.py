"""Shipped bundles: complete, small, with a card, and made of package models and served prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from expertrag import models
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.llm import load_generator, prompt
from expertrag.llm.adapters.bundle import load_bundle
from expertrag.llm.adapters.serving import parallel_of
from expertrag.llm.probe import STATES, load_probe
from expertrag_lab.data.rows import read_row_sets
from expertrag_lab.eval.gates import FittedGate, load_gate
from expertrag_retriever.encoder import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.errors import GateError
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.bundle import load_gate as load_gate_bundle
from expertrag_retriever.gate.signals import SignalGroup

ADARAGUE = Path(__file__).parents[1] / "data" / "adarague_small"
TEXTS = [
    "Total revenue increased by 12 % to $4.5 million in fiscal 2019, due to subscription sales.",
    "Write the list as JSON to a file: json.dump(items, open('out.json', 'w'))",
    "Zorp blee.",
]
EXPERTS = Path(models.resolve(models.SHIPPED[0]))
GATE, LARGE_GATE = models.SHIPPED_GATES
READER = "smollm2-135m-reader"
READER_FOLDER = models.reader_folder(READER)
LARGE_READER_FOLDER = models.reader_folder(models.LARGE)
PROBE_FOLDER = models.probe_of(models.LARGE) or Path()


@pytest.mark.parametrize(
    "folder",
    [
        EXPERTS,
        models.gate_folder(GATE),
        models.gate_folder(LARGE_GATE),
        READER_FOLDER,
        LARGE_READER_FOLDER,
        PROBE_FOLDER,
    ],
    ids=lambda folder: folder.name,
)
def test_every_folder_is_small(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10e6


def test_the_embedder_of_new_stores(shipped: SentenceTransformerEmbedder) -> None:
    assert shipped.name == models.SHIPPED[0]
    domains = {"science", "biomedicine", "finance", "technical", "encyclopedia"}
    assert set(shipped.experts) == domains
    card = (EXPERTS / "README.md").read_text()
    settings = json.loads((EXPERTS / "experts.json").read_text())
    assert settings["base"]["name"] == "all-minilm-l6-v2"
    for expert in settings["training"]["experts"]:
        assert f"| {expert['domain']} |" in card
        assert not {"policyqa", "cosqa"} & set(expert["sources"])  # their licences forbid it


def test_the_general_expert_is_the_base_model(
    shipped: SentenceTransformerEmbedder, minilm_path: Path
) -> None:
    base = load_embedder(str(minilm_path))
    own = shipped.encode_documents(TEXTS, GENERAL)
    assert np.array_equal(own, base.encode_documents(TEXTS))
    assert shipped.fingerprint_of_expert(GENERAL) == base.fingerprint


def test_the_router_knows_its_domains(shipped: SentenceTransformerEmbedder) -> None:
    names = (*shipped.experts, GENERAL)
    posteriors = shipped.posteriors(TEXTS)
    likeliest = [names[column] for column in posteriors.argmax(axis=1)]
    assert likeliest == ["finance", "technical", GENERAL]
    assert np.allclose(posteriors.sum(axis=1), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "groups", "sets", "rows"),
    [
        (GATE, (SignalGroup.QUESTION, SignalGroup.DRAFT), 6, 3000),
        (LARGE_GATE, (SignalGroup.STORE,), 17, 315),
    ],
)
def test_gates_have_their_rows_and_a_card(
    name: str, groups: tuple[SignalGroup, ...], sets: int, rows: int
) -> None:
    folder = models.gate_folder(name)
    bundle = load_gate_bundle(folder)
    assert bundle.version.startswith(f"{name}@")
    assert bundle.groups == groups
    assert (bundle.needs.generator is None) is (name == LARGE_GATE)  # it uses only store signals
    assert len(bundle.card["rows"]) == sets
    assert bundle.card["figures"]["rows"] == len(bundle.benefits) == rows
    assert bundle.version in (folder / "README.md").read_text(encoding="utf-8")


def test_a_gate_decides_on_rows_with_the_models_of_the_package(
    minilm_path: Path, smollm_path: Path, tmp_path: Path
) -> None:
    row_sets = read_row_sets([ADARAGUE])
    gate = load_gate(GATE, row_sets, work=tmp_path)
    assert isinstance(gate, FittedGate)
    assert gate.extra_calls == (1, 2)
    assert gate.name_training_sets(row_sets) == ()  # its rows are these and others, in other files
    for row_set in row_sets:
        p = gate.probabilities(replace(row_set, rows=row_set.rows[:4]))
        assert ((p > 0) & (p < 1)).all()


def test_other_names_of_gates_are_folders() -> None:
    assert models.gate_of(models.LARGE) == LARGE_GATE
    assert models.gate_folder("gates/mine") == Path("gates/mine")
    with pytest.raises(GateError, match="no gate in"):
        load_gate_bundle(models.gate_folder("gates/mine"))


def test_the_probe_belongs_to_the_large_model_and_its_prompts() -> None:
    probe = load_probe(PROBE_FOLDER)
    assert probe.owner.generator == models.LARGE
    assert probe.owner.prompts == prompt.fingerprint(prompt.INSTRUCT), (
        "the prompts have changed: train it again (make lab-qwen-probe DATA=...)"
    )
    assert probe.weights.shape == (len(STATES) * 1536,)
    assert models.probe_of(READER) is None


def test_the_card_of_the_probe_has_its_figures() -> None:
    training = json.loads((PROBE_FOLDER / "probe.json").read_text())["training"]
    card = (PROBE_FOLDER / "README.md").read_text()
    assert training["command"] in card
    assert {item["name"]: item["left_out"] for item in training["sets"]}["squad2"] > 0.8
    for item in training["sets"]:
        assert f"| {item['prompts']:,} ({item['lacking']:,}) |" in card
        assert item["left_out"] > item["abstains"]
    words, scale = training["words"], prompt.INSTRUCT.doubt
    assert (scale.slope, scale.intercept) == pytest.approx((words["slope"], words["intercept"]))


@pytest.mark.parametrize("folder", [READER_FOLDER, LARGE_READER_FOLDER])
def test_readers_were_trained_with_the_served_prompts(folder: Path) -> None:
    """After a change of prompts or of the reply format, retrain them: ``make lab-reader``."""
    made = load_bundle(folder)
    assert made.prompts == prompt.fingerprint()
    card = (folder / "README.md").read_text()
    assert f"base_model: {made.base}\n" in card and "license: apache-2.0\n" in card
    assert "/tmp" not in card + (folder / "reader.json").read_text()


def test_each_reader_belongs_to_a_package_model(reader_path: Path) -> None:
    small, model = load_bundle(READER_FOLDER), models.REGISTRY[READER]
    assert isinstance(model, models.ReaderModel)
    assert small.base == model.base
    reader = load_generator(str(reader_path))
    assert ReadingPolicy.of(reader).reader and reader.experts == small.settings.experts
    assert models.reader_of(models.LARGE) == LARGE_READER_FOLDER
    adapters = parallel_of(load_bundle(LARGE_READER_FOLDER))
    assert adapters.base_name == models.LARGE
    assert adapters.names == small.settings.experts
    assert 0.5 > adapters.doubt.strict_from > 0
