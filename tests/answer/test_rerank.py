"""On which stores a reranker is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from expertrag.answer.rerank import ServedReranker, active_on, open_served_reranker
from expertrag.api.errors import NotFound
from expertrag.api.rerank import RerankMode
from expertrag.config import ModelConfig, RerankConfig
from expertrag_index.store.manifest import JSON
from expertrag_retriever.rerank.estimate import RerankEstimate


@pytest.fixture(scope="module")
def served(cross_encoder_folder: Path) -> ServedReranker:
    found = open_served_reranker(ModelConfig(reranker=str(cross_encoder_folder)), RerankConfig())
    assert found is not None
    return found


def estimate(served: ServedReranker, reranked: float, fingerprint: str = "") -> dict[str, JSON]:
    own = fingerprint or served.reranking.reranker.fingerprint
    return {"rerank": RerankEstimate(served.name, own, 40, 0.8, reranked).to_manifest()}


def test_a_named_one_is_used_unless_the_estimate_is_against_it(served: ServedReranker) -> None:
    assert served.is_used_on({})
    assert served.is_used_on(estimate(served, 0.9))
    assert not served.is_used_on(estimate(served, 0.7))
    assert served.is_used_on(estimate(served, 0.7, "of another"))


def test_auto_needs_an_estimate(served: ServedReranker) -> None:
    auto = ServedReranker(served.reranking, unmeasured=False)
    assert not auto.is_used_on({})
    assert auto.is_used_on(estimate(served, 0.9))
    assert not auto.is_used_on(estimate(served, 0.9, "of another"))


def test_on_is_used_on_every_store(served: ServedReranker) -> None:
    always = ServedReranker(served.reranking, always=True)
    assert always.is_used_on({}) and always.is_used_on(estimate(served, 0.7))


def test_a_request_overrides(served: ServedReranker) -> None:
    against = estimate(served, 0.7)
    assert active_on(against, served, RerankMode.AUTO) is None
    assert active_on(against, served, RerankMode.ON) is served
    assert active_on({}, served, RerankMode.OFF) is None
    assert active_on({}, None, RerankMode.AUTO) is None


def test_off_loads_nothing() -> None:
    assert open_served_reranker(ModelConfig(), RerankConfig()) is None


def test_a_missing_one_says_what_to_do() -> None:
    with pytest.raises(NotFound, match=r"no reranker folder \./gone"):
        open_served_reranker(ModelConfig(reranker="./gone"), RerankConfig())
