"""Domain signals of a question: the posterior of the embedder's router."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_retriever.base import Embedder

_LEAST = 1e-12  # keeps the logarithm finite


def domain_probabilities(embedder: Embedder, questions: Sequence[str]) -> list[dict[str, float]]:
    """Return, for each question, the probability of every domain, and of none as "general".

    Empty for an embedder without experts.
    """
    if not embedder.experts:
        return [{} for _ in questions]
    names = (*embedder.experts, GENERAL)
    posteriors = embedder.posteriors(questions)  # [N, E + 1]
    return [dict(zip(names, row.tolist(), strict=True)) for row in posteriors]


def domain_signals(domains: Mapping[str, float]) -> dict[str, float]:
    """Return the domain signals of a question: the probabilities, and their entropy in nats."""
    if not domains:
        return {}
    entropy = -sum(p * math.log(max(p, _LEAST)) for p in domains.values())
    named = {f"domain_of_{name}": probability for name, probability in domains.items()}
    return {**named, "domain_entropy": entropy}
