"""BERT encoders without sentence-transformers: the same vectors; other models are left to it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_helper import change_json

from expertrag_retriever import SentenceTransformerEmbedder, fused_pass, load_embedder
from expertrag_retriever.plain_encoder import PlainEncoder, plain_encoder

TEXTS = [
    "",
    "one",
    "日本語 naïve",
    "a longer text " * 40,
    *(f"text {n} of many" for n in range(20)),
]


def _by_library(embedder: SentenceTransformerEmbedder) -> SentenceTransformerEmbedder:
    """The same embedder on the model that sentence-transformers loads."""
    parts = {name: embedder.fingerprint_of_expert(name) for name in ("general", *embedder.experts)}
    return type(embedder)(embedder.name, embedder.model, embedder.fingerprint, parts)


@pytest.fixture
def in_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave every encoder to torch, as on processors without bfloat16."""
    monkeypatch.setattr(fused_pass, "ISAS", ())


@pytest.mark.usefixtures("in_torch")
def test_vectors_equal_those_of_the_library(minilm_path: Path) -> None:
    plain = load_embedder(str(minilm_path), device="cpu")
    assert isinstance(plain._model, PlainEncoder)
    documents, queries = plain.encode_documents(TEXTS), plain.encode_queries(TEXTS)
    about = plain.name, plain.fingerprint, plain.dimension, plain.max_tokens
    library = _by_library(plain)
    assert not isinstance(library._model, PlainEncoder)
    assert about == (library.name, library.fingerprint, library.dimension, library.max_tokens)
    assert np.array_equal(documents, library.encode_documents(TEXTS))
    assert np.array_equal(queries, library.encode_queries(TEXTS))
    assert plain.count_tokens(TEXTS) == library.count_tokens(TEXTS)


@pytest.mark.slow
@pytest.mark.usefixtures("in_torch")
def test_experts_give_the_vectors_of_the_library(minilm_path: Path) -> None:
    bundle = Path(__file__).parents[2] / "expertrag" / "models" / "bundles" / "minilm-domains"
    plain = load_embedder(str(minilm_path), device="cpu", experts=bundle)
    assert isinstance(plain._model, PlainEncoder)
    domains = (None, "general", *plain.experts)
    vectors = [plain.encode_documents(TEXTS, domain) for domain in domains]
    posteriors = plain.posteriors(TEXTS)
    library = _by_library(plain)
    for domain, found in zip(domains, vectors, strict=True):
        assert np.array_equal(found, library.encode_documents(TEXTS, domain)), domain
    assert np.array_equal(posteriors, library.posteriors(TEXTS))


@pytest.mark.parametrize("kind", ["modernbert", "mpnet"])
def test_other_encoders_are_left_to_the_library(kind: str, encoder_folders: Any) -> None:
    assert plain_encoder(encoder_folders[kind]) is None


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"hidden_act": "relu"}),
        ("config.json", {"position_embedding_type": "relative_key"}),
        ("1_Pooling/config.json", {"pooling_mode_cls_token": True}),
        ("1_Pooling/config.json", {"include_prompt": False}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("tokenizer_config.json", {"padding_side": "left"}),
    ],
)
def test_unsupported_folders_are_left_to_the_library(
    file: str, changes: dict[str, Any], minilm_path: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(minilm_path, folder)
    assert plain_encoder(folder) is not None
    change_json(folder / file, **changes)
    assert plain_encoder(folder) is None


def test_the_library_is_not_imported(minilm_path: Path) -> None:
    code = """
import sys
from expertrag_retriever import load_embedder

load_embedder(sys.argv[1], device="cpu").encode_query("Where is it?")
print(sorted({"transformers", "sentence_transformers", "torch._dynamo"} & set(sys.modules)))
"""
    run = [sys.executable, "-c", code, str(minilm_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
