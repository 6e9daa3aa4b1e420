"""The domain signals of a question, from the embedder's router."""

from __future__ import annotations

import math

import pytest

from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.gate.domains import domain_probabilities, domain_signals
from expertrag_retriever.gate.signals import SignalGroup, group_of

QUESTIONS = [
    "Is a Roth IRA or a 401k better for tax on dividends?",
    "What do monoclonal antibodies against PD-1 do in melanoma patients?",
]


def test_an_embedder_without_experts_gives_no_domain_signals(
    embedder: SentenceTransformerEmbedder,
) -> None:
    assert domain_probabilities(embedder, QUESTIONS) == [{}, {}]
    assert domain_signals({}) == {}


def test_the_probabilities_of_all_domains_and_their_entropy(
    shipped: SentenceTransformerEmbedder,
) -> None:
    finance, biomedicine = map(domain_signals, domain_probabilities(shipped, QUESTIONS))
    assert finance["domain_of_finance"] > 0.5
    assert biomedicine["domain_of_biomedicine"] + biomedicine["domain_of_science"] > 0.8
    for found in (finance, biomedicine):
        assert {group_of(name) for name in found} == {SignalGroup.DOMAIN}
        entropy = found.pop("domain_entropy")
        assert set(found) == {f"domain_of_{name}" for name in (*shipped.experts, "general")}
        assert sum(found.values()) == pytest.approx(1.0, abs=1e-4)
        assert entropy == pytest.approx(
            -sum(p * math.log(p) for p in found.values() if p > 0), abs=1e-4
        )
