"""How many lists an IVF segment must probe, measured against exact search."""

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


def tune(connection: sqlite3.Connection, segment: Segment, keys: KeyArray) -> tuple[Segment, float]:
    """Find the smallest power-of-two ``nprobe`` with recall@10 ≥ 0.95; returns the recall, too.

    Queries are stored vectors, each excluded from its own result: questions lie further from
    the chunks than chunks from one another, so that recall on questions may be a little lower.
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
) -> list[set[int]]:
    best_keys = np.empty((len(queries), 0), np.int64)  # [Q, ≤ depth]
    best_scores = np.empty((len(queries), 0), np.float32)
    for part, stored in iter_vectors(connection, keys):
        scores = queries @ stored.T  # [Q, B]
        scores[sample[:, None] == part[None]] = -np.inf
        merged_keys = np.hstack([best_keys, np.broadcast_to(part, scores.shape)])
        merged = np.hstack([best_scores, scores])
        order = np.argsort(-merged, axis=1, kind="stable")[:, :_DEPTH]
        best_keys = np.take_along_axis(merged_keys, order, axis=1)
        best_scores = np.take_along_axis(merged, order, axis=1)
    return [set(row.tolist()) for row in best_keys]


def _recall(
    connection: sqlite3.Connection,
    segment: Segment,
    sample: KeyArray,
    queries: FloatArray,
    truth: list[set[int]],
) -> float:
    found = 0
    for own, query, wanted in zip(sample.tolist(), queries, truth, strict=True):
        hits = segment.search(query, _DEPTH + 1, None, len(wanted)).keys
        hits = hits[hits != own]
        scores = vectors_of(connection, hits) @ query if len(hits) else np.empty(0)
        best = hits[np.argsort(-scores, kind="stable")[:_DEPTH]]
        found += len(wanted & set(best.tolist()))
    return found / sum(len(wanted) for wanted in truth)
