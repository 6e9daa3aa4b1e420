"""nDCG@10 on dev slices.

Q queries, N documents, D dimensions
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from expertrag_index.types import FloatArray
from expertrag_lab.embedder.mining import Encode
from expertrag_lab.embedder.types import DevSet

_DEPTH = 10


def evaluate(dev: Sequence[DevSet], encode: Encode) -> dict[str, float]:
    """Mean nDCG@10 of the queries of each dev set (Järvelin & Kekäläinen 2002)."""
    return {item.name: _mean(item, encode) for item in dev}


def _mean(dev: DevSet, encode: Encode) -> float:
    vectors = encode([*dev.queries, *dev.documents])  # [Q + N, D]
    scores = vectors[: len(dev.queries)] @ vectors[len(dev.queries) :].T  # [Q, N]
    return float(np.mean([_ndcg(row, own) for row, own in zip(scores, dev.relevant, strict=True)]))


def _ndcg(scores: FloatArray, relevant: frozenset[int]) -> float:
    top = np.argsort(-scores, kind="stable")[:_DEPTH].tolist()
    gained = sum(1 / math.log2(rank + 2) for rank, row in enumerate(top) if row in relevant)
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(_DEPTH, len(relevant))))
    return gained / ideal
