"""Tunes how many lists of an IVF segment to probe, by comparison with exact search."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np

from expertrag_index.rows import iter_vectors, vectors_of
from expertrag_index.types import FloatArray, KeyArray
from expertrag_index.vectors import Segment

TARGET_RECALL = 0.95

_QUERIES = 200  # a standard error of about 0.5 % at recall 0.95
_DEPTH = 10
_ROUNDING = 1e-6  # of a cosine, whatever the order of summation


def tune(connection: sqlite3.Connection, segment: Segment, keys: KeyArray) -> tuple[Segment, float]:
    """Find the smallest power-of-two ``nprobe`` with recall@10 ≥ 0.95; also return the recall.

    Queries are stored vectors, each excluded from its own result. Questions are further from the
    chunks than chunks from each other, so recall on questions may be slightly lower.
    """
    rng = np.random.default_rng(0)
    sample = np.sort(rng.choice(keys, min(_QUERIES, len(keys)), replace=False))
    queries = vectors_of(connection, sample)
    truth = _exact(connection, keys, sample, queries)
    nprobe = 1
    while True:
        candidate = replace(segment, nprobe=nprobe)
        recall = _recall(connection, candidate, sample, queries, truth)
        if recall >= TARGET_RECALL or nprobe >= segment.nlist:
            return candidate, recall
        nprobe = min(segment.nlist, 2 * nprobe)


def _exact(
    connection: sqlite3.Connection, keys: KeyArray, sample: KeyArray, queries: FloatArray
) -> FloatArray:
    """Scores [Q, ≤ depth] of the nearest neighbours, best first."""
    best = np.empty((len(queries), 0), np.float32)
    for part, stored in iter_vectors(connection, keys):
        scores = queries @ stored.T  # [Q, B]
        scores[sample[:, None] == part[None]] = -np.inf
        best = -np.sort(-np.hstack([best, scores]), axis=1)[:, :_DEPTH]
    return best


def _recall(
    connection: sqlite3.Connection,
    segment: Segment,
    sample: KeyArray,
    queries: FloatArray,
    truth: FloatArray,
) -> float:
    """Share of hits that score no less than the last true neighbour.

    Compares scores instead of keys: of many equal chunks, any ten are right.
    """
    found, depth = 0, truth.shape[1]
    for own, query, wanted in zip(sample.tolist(), queries, truth, strict=True):
        hits = segment.search(query, _DEPTH + 1, None, depth).keys
        hits = hits[hits != own]
        scores = vectors_of(connection, hits) @ query if len(hits) else np.empty(0)
        found += min(depth, int((scores >= wanted[-1] - _ROUNDING).sum()))
    return found / truth.size
