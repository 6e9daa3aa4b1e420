"""Tunes how many lists of an IVF segment to probe, by comparison with exact search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from expertrag_index.types import FloatArray, KeyArray
from expertrag_index.vector_rows import VectorSource, iter_vectors, vectors_of
from expertrag_index.vectors import Bitmap, Segment

TARGET_RECALL = 0.95

_QUERIES = 200  # a standard error of about 0.5 % at recall 0.95
_DEPTH = 10
_ROUNDING = 1e-6  # of a cosine, whatever the order of summation


def tune(source: VectorSource, segment: Segment, keys: KeyArray) -> tuple[Segment, float]:
    """Find the smallest power-of-two ``nprobe`` with recall@10 ≥ 0.95; also return the recall.

    Queries are stored vectors, each excluded from its own result. Questions are further from the
    chunks than chunks from each other, so recall on questions may be slightly lower.
    """
    measured = _Comparison(source, keys)
    nprobe = 1
    while True:
        candidate = replace(segment, nprobe=nprobe)
        recall = measured.recall([candidate], None)
        if recall >= TARGET_RECALL or nprobe >= segment.nlist:
            return candidate, recall
        nprobe = min(segment.nlist, 2 * nprobe)


def recall_at_10(
    source: VectorSource, segments: Sequence[Segment], keys: KeyArray, live: Bitmap
) -> float:
    """Recall@10 of the segments of a partition, whose live chunks are ``keys``."""
    return _Comparison(source, keys).recall(segments, live)


class _Comparison:
    """Compares searches with exact search, for a sample of the stored vectors as queries."""

    def __init__(self, source: VectorSource, keys: KeyArray) -> None:
        rng = np.random.default_rng(0)
        self._source = source
        self._size = len(keys)
        self._sample = np.sort(rng.choice(keys, min(_QUERIES, len(keys)), replace=False))
        self._queries = vectors_of(source, self._sample)
        truth = _exact(source, keys, self._sample, self._queries)
        self._truth = truth[:, : self._size - 1]  # a chunk is no neighbour of itself

    def recall(self, segments: Sequence[Segment], allowed: Bitmap | None) -> float:
        """Share of hits that score no less than the last true neighbour.

        Compares scores instead of keys: of many equal chunks, any ten are right.
        """
        found, depth = 0, self._truth.shape[1]
        if not depth:
            return 1.0
        wanted = depth if allowed is None else self._size
        for own, query, best in zip(self._sample.tolist(), self._queries, self._truth, strict=True):
            hits = np.concatenate(
                [segment.search(query, _DEPTH + 1, allowed, wanted).keys for segment in segments]
            )
            hits = hits[hits != own]
            scores = vectors_of(self._source, hits) @ query if len(hits) else np.empty(0)
            found += min(depth, int((scores >= best[-1] - _ROUNDING).sum()))
        return found / self._truth.size


def _exact(
    source: VectorSource, keys: KeyArray, sample: KeyArray, queries: FloatArray
) -> FloatArray:
    """Scores [Q, ≤ depth] of the nearest neighbours, best first."""
    best = np.empty((len(queries), 0), np.float32)
    for part, stored in iter_vectors(source, keys):
        scores = queries @ stored.T  # [Q, B]
        scores[sample[:, None] == part[None]] = -np.inf
        best = -np.sort(-np.hstack([best, scores]), axis=1)[:, :_DEPTH]
    return best
