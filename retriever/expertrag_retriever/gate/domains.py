"""Which domain a question is of, as signals: the posterior of the embedder's router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder


def domain_signals(
    embedder: SentenceTransformerEmbedder, questions: Sequence[str]
) -> list[dict[str, float]]:
    """Return of each question the probability of every domain, and their entropy in nats.

    "general" is that of none. Empty for an embedder without experts.
    """
    if not embedder.experts:
        return [{} for _ in questions]
    posterior = embedder.posteriors(questions).astype(np.float64)  # [N, E + 1]
    entropy = -(posterior * np.log(np.maximum(posterior, 1e-12))).sum(axis=1)
    names = [f"domain_of_{name}" for name in (*embedder.experts, GENERAL)]
    return [
        {**dict(zip(names, row.tolist(), strict=True)), "domain_entropy": float(spread)}
        for row, spread in zip(posterior, entropy, strict=True)
    ]
