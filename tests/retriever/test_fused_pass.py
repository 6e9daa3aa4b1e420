"""Vectors of the compiled encoder: those of the modules, whatever else is in the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from expertrag_index.types import FloatArray
from expertrag_kernels.encoder import ISAS
from expertrag_retriever import SentenceTransformerEmbedder, load_embedder
from expertrag_retriever.experts.settings import ExpertForm, ExpertSettings
from expertrag_retriever.fused_pass import FusedPass, compile_pass
from expertrag_retriever.module_pass import ModulePass
from expertrag_retriever.plain_encoder import plain_encoder

BUNDLE = Path(__file__).parents[2] / "expertrag" / "models" / "bundles" / "minilm-domains"
TEXTS = [
    "",
    "one",
    "日本語 naïve",
    "a longer text " * 90,
    *(f"text {n} of many" for n in range(20)),
]

pytestmark = pytest.mark.skipif(not ISAS, reason="the processor has no bfloat16")


def _least_cosine(found: FloatArray, wanted: FloatArray) -> float:
    return float((found * wanted).sum(axis=1).min())


def _in_float32(embedder: SentenceTransformerEmbedder) -> SentenceTransformerEmbedder:
    """The same model by sentence-transformers."""
    embedder.model[0].to(torch.float32)
    return SentenceTransformerEmbedder(embedder.name, embedder.model, "")


def test_vectors_are_those_of_the_modules(minilm_path: Path) -> None:
    fused = load_embedder(str(minilm_path), device="cpu")
    assert isinstance(fused._pass, FusedPass)
    found = fused.encode_documents(TEXTS)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    library = _in_float32(fused)
    assert isinstance(library._pass, ModulePass)
    assert np.array_equal(fused.encode_documents(TEXTS), found)  # still compiled
    assert _least_cosine(found, library.encode_documents(TEXTS)) > 0.9999


@pytest.mark.slow
def test_experts_and_router_are_those_of_the_modules(minilm_path: Path) -> None:
    fused = load_embedder(str(minilm_path), device="cpu", experts=BUNDLE)
    assert isinstance(fused._pass, FusedPass)
    domains = (None, "general", *fused.experts)
    found = [fused.encode_documents(TEXTS, domain) for domain in domains]
    mixed = fused.encode_queries_by_experts(TEXTS, ["general", *fused.experts])
    posteriors = fused.posteriors(TEXTS)
    library = _in_float32(fused)
    for number, domain in enumerate(domains):
        wanted = library.encode_documents(TEXTS, domain)
        assert _least_cosine(found[number], wanted) > 0.9999, domain
        if domain is not None:
            assert np.array_equal(mixed[:, number - 1], found[number])
    assert np.abs(posteriors - library.posteriors(TEXTS)).max() < 0.02


def test_a_vector_does_not_depend_on_the_batch(minilm_path: Path) -> None:
    fused = load_embedder(str(minilm_path), device="cpu", experts=BUNDLE)
    for domain in (None, "general", fused.experts[0]):
        together = fused.encode_queries(TEXTS, domain)
        alone = [fused.encode_query(text, domain) for text in TEXTS]
        if domain is None:  # torch computes the router's posteriors
            assert np.allclose(together, np.stack(alone), atol=1e-6)
        else:
            assert np.array_equal(together, np.stack(alone))


def test_copied_experts_are_left_to_the_modules(minilm_path: Path) -> None:
    plain: Any = plain_encoder(minilm_path)
    assert compile_pass(plain[0]) is not None
    plain[0].add_experts(ExpertSettings(("legal",), ExpertForm.FULL))
    assert compile_pass(plain[0]) is None


def test_experts_without_a_router_serve_the_domains_that_are_named(minilm_path: Path) -> None:
    plain: Any = plain_encoder(minilm_path)
    plain[0].add_experts(ExpertSettings(("legal",)))
    fused = compile_pass(plain[0])
    assert fused is not None
    tokens = plain.tokenizer.backend_tokenizer.encode_batch(["a lease", "a cell"])
    base = fused.vectors(tokens, None, 0)
    assert np.array_equal(base, fused.vectors(tokens, ["legal", "none"], 0))  # new experts add 0
    assert np.array_equal(fused.posteriors(tokens), [[0, 1], [0, 1]])
