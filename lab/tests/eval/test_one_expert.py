"""An embedder that is pinned to one expert, however its model runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from expertrag_lab.eval.one_expert import OneExpert
from expertrag_retriever import SentenceTransformerEmbedder, fused_pass, load_embedder

BUNDLE = Path(__file__).parents[3] / "expertrag" / "models" / "bundles" / "minilm-domains"
TEXTS = ["Is aspirin safe with warfarin?", "one", "a longer text " * 40]


@pytest.fixture(params=["as it is here", "by torch", "by sentence-transformers"], scope="module")
def bundled(request: pytest.FixtureRequest, minilm_path: Path) -> SentenceTransformerEmbedder:
    """The shipped experts: compiled where the processor can, and in both other ways."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param != "as it is here":
            patch.setattr(fused_pass, "ISAS", ())
        made = load_embedder(str(minilm_path), device="cpu", experts=BUNDLE)
    if request.param != "by sentence-transformers":
        return made
    parts = {name: made.fingerprint_of_expert(name) for name in ("general", *made.experts)}
    return SentenceTransformerEmbedder(made.name, made.model, made.fingerprint, parts)


def test_one_expert_encodes_everything(bundled: SentenceTransformerEmbedder) -> None:
    for expert in ("general", bundled.experts[0]):
        one = OneExpert(bundled, expert)
        assert (one.experts, one.fingerprint) == ((), bundled.fingerprint_of_expert(expert))
        assert one.posteriors(TEXTS).tolist() == [[1.0]] * len(TEXTS)
        documents, queries = one.encode_documents(TEXTS), one.encode_queries(TEXTS, "other")
        assert np.array_equal(documents, bundled.encode_documents(TEXTS, expert))
        assert np.array_equal(queries, bundled.encode_queries(TEXTS, expert))
        assert np.array_equal(one.encode_query(TEXTS[0]), bundled.encode_query(TEXTS[0], expert))
        several = one.encode_queries_by_experts(TEXTS, ["a", "b"])
        assert np.array_equal(several, np.stack([queries, queries], axis=1))
    module: Any = one.model[0]
    assert module.settings.domains == bundled.experts
