"""Rows with a planted truth: the similarity to the store determines whether retrieval helps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from expertrag_retriever.gate.signals import Signals


@dataclass(frozen=True, slots=True)
class Planted:
    """Signals of N queries and whether their two answers were right, [N, 2]."""

    signals: list[Signals]
    right: NDArray[np.bool_]

    @property
    def benefit(self) -> NDArray[np.bool_]:
        return self.right[:, 1] & ~self.right[:, 0]


def planted(rows: int = 400, seed: int = 0) -> Planted:
    """p(closed book right) falls and p(retrieval right) rises with the similarity to the store."""
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(-1, 1, rows)
    sure = rng.uniform(0, 1, rows)
    direction = rng.normal(size=8)
    signals = [
        Signals(
            {
                "question_words": float(rng.integers(3, 20)),
                "documents_log_odds": float(similarity[row]),
                "margin": float(sure[row]),
            },
            {"question_embedding": similarity[row] * direction + rng.normal(size=8)},
        )
        for row in range(rows)
    ]
    closed = rng.uniform(size=rows) < 0.1 + 0.7 * sure * (similarity < 0)
    retrieval = rng.uniform(size=rows) < 0.45 + 0.4 * similarity
    return Planted(signals, np.stack([closed, retrieval], axis=1))


@pytest.fixture(scope="session")
def rows() -> Planted:
    return planted()
