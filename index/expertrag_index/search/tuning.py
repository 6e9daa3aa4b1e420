"""Tunes how many lists of an IVF segment to probe, by comparison with exact search.

Questions lie further from the chunks than chunks from each other, and in other directions. Among
the 100,000 chunks of ``lab/benchmarks/bench_scale.py``, the lists that held .95 of the neighbours
of stored vectors held .89 of the neighbours of questions. Pieces of five words of the chunks
are nearly as hard as questions, so the lists are chosen by these where there is an embedder.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from expertrag_index.search.vector_rows import VectorSource, iter_vectors, vectors_of
from expertrag_index.search.vectors import Bitmap, Segment
from expertrag_index.store.rows import texts_of
from expertrag_index.types import DocumentEmbedder, FloatArray, KeyArray

TARGET_RECALL = 0.975
"""Of pieces of text."""

_STORED_TARGET = 0.999
"""Of stored vectors, where there is no embedder."""

_QUERIES = 200  # a standard error of about 0.4 % at recall 0.97
_WORDS = 5  # of a piece
_DEPTH = 10
_HALVINGS = 2  # of the last step: at most an eighth of the lists is probed in vain
_ROUNDING = 1e-6  # of a cosine, whatever the order of summation


@dataclass(frozen=True, slots=True)
class Probed:
    """The share of an IVF segment's lists that a search probes, and the recall@10 of that."""

    share: float
    recall: float


def tune(
    source: VectorSource, segment: Segment, keys: KeyArray, pieces: FloatArray | None
) -> tuple[Segment, float]:
    """Find a small ``nprobe`` with the target's recall@10 by doubling and halving; return both.

    :param pieces: vectors [Q, D] of pieces of text; None takes stored vectors, each excluded from
        its own result.
    """
    measured = _Comparison(source, keys, pieces)
    target = _STORED_TARGET if pieces is None else TARGET_RECALL

    def recall_of(nprobe: int) -> float:
        return measured.recall([replace(segment, nprobe=nprobe)], None)

    below, nprobe = 0, 1
    while (recall := recall_of(nprobe)) < target and nprobe < segment.nlist:
        below, nprobe = nprobe, min(segment.nlist, 2 * nprobe)
    for _ in range(_HALVINGS):
        middle = (below + nprobe) // 2
        if middle > below and (middle_recall := recall_of(middle)) >= target:
            nprobe, recall = middle, middle_recall
        else:
            below = middle
    return replace(segment, nprobe=nprobe), recall


class FoundKeys(Protocol):
    """What a search has found."""

    @property
    def keys(self) -> KeyArray:
        """Keys of chunks, best first."""
        ...


class Searchable(Protocol):
    """What is compared with exact search: a segment, or a partition in an engine."""

    def search(self, query: FloatArray, k: int, allowed: Bitmap | None, wanted: int) -> FoundKeys:
        """Search as ``vectors.Segment.search`` does."""
        ...


def pieces_of(
    connection: sqlite3.Connection, keys: KeyArray, embedder: DocumentEmbedder, expert: str
) -> FloatArray:
    """Encode pieces of a sample of an expert's chunks; return those [Q, D] that have a vector."""
    rng = np.random.default_rng(1)
    sample = np.sort(rng.choice(keys, min(_QUERIES, len(keys)), replace=False))
    pieces = []
    for text in texts_of(connection, sample):
        words = text.split()
        start = int(rng.integers(max(1, len(words) - _WORDS + 1)))
        pieces.append(" ".join(words[start : start + _WORDS]))
    vectors = embedder.encode_documents(pieces, expert)
    norms = np.linalg.norm(vectors, axis=1)
    sound = np.isfinite(norms) & (norms > 0)
    units: FloatArray = vectors[sound] / norms[sound, None]
    return units


def recall_at_10(
    source: VectorSource, segments: Sequence[Searchable], keys: KeyArray, live: Bitmap | None
) -> float:
    """Recall@10 of the segments of a partition, whose live chunks are ``keys``."""
    return _Comparison(source, keys, None).recall(segments, live)


class _Comparison:
    """Compares searches with exact search, for pieces of text or a sample of stored vectors."""

    def __init__(self, source: VectorSource, keys: KeyArray, pieces: FloatArray | None) -> None:
        rng = np.random.default_rng(0)
        self._source = source
        self._size = len(keys)
        if pieces is None:
            self._sample = np.sort(rng.choice(keys, min(_QUERIES, len(keys)), replace=False))
            self._queries = vectors_of(source, self._sample)
        else:
            self._sample = np.full(len(pieces), -1, np.int64)  # keys of no chunk
            self._queries = pieces
        truth = _exact(source, keys, self._sample, self._queries)
        # a chunk is not a neighbour of itself
        self._truth = truth[:, : self._size - (pieces is None)]

    def recall(self, segments: Sequence[Searchable], allowed: Bitmap | None) -> float:
        """Share of hits that score no less than the last true neighbour.

        Compares scores instead of keys: of many equal chunks, any ten are right.
        """
        count, depth = 0, self._truth.shape[1]
        if not depth:
            return 1.0
        wanted = depth if allowed is None else self._size
        for own, query, best in zip(self._sample.tolist(), self._queries, self._truth, strict=True):
            hits = np.concatenate(
                [segment.search(query, _DEPTH + 1, allowed, wanted).keys for segment in segments]
            )
            hits = hits[hits != own]
            scores = vectors_of(self._source, hits) @ query if len(hits) else np.empty(0)
            count += min(depth, int((scores >= best[-1] - _ROUNDING).sum()))
        return count / self._truth.size


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
