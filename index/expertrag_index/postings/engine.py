"""What a search does with one segment: in C++ (``cpu/``), or in numpy where nothing is compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from expertrag_index.compiled import load_module
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.types import KeyArray

Scores = NDArray[np.float64]
RowBits = NDArray[np.uint64]
"""A bit per row, the lowest first: 64 rows a word."""


@dataclass(frozen=True, slots=True)
class WeightedTerms:
    """The terms of a query that a segment has, in the order in which scores are summed up.

    ``starts``, ``ends``: their postings, int64 [T].
    ``weights``: float64 [T]; a term adds weight * count / (count + norm of the chunk's length).
    """

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    weights: Scores


@dataclass(frozen=True, slots=True)
class Found:
    """Chunks with their scores, best first; among equal scores the lower key comes first."""

    keys: KeyArray
    scores: Scores


class PostingEngine(Protocol):
    """Functions over a segment. ``norms``: by length of a chunk, the last for longer ones."""

    name: str

    def find(self, segment: PostingSegment, term: bytes) -> int:
        """Return the place of a term in the vocabulary, -1 if it is not there."""
        ...

    def count(self, segment: PostingSegment, start: int, end: int, allowed: RowBits) -> int:
        """Count the postings from ``start`` to ``end`` whose rows are allowed."""
        ...

    def best(
        self,
        segment: PostingSegment,
        terms: WeightedTerms,
        norms: Scores,
        allowed: RowBits | None,
        k: int,
        best_so_far: Found,
    ) -> Found:
        """Return the ``k`` best of the chunks found in other segments and of this one's.

        :param allowed: rows that may be found; None for all.
        """
        ...

    def scores(
        self,
        segment: PostingSegment,
        terms: WeightedTerms,
        norms: Scores,
        rows: NDArray[np.int64],
    ) -> Scores:
        """Score the given rows, which ascend; 0 where no term occurs."""
        ...


def best_engine() -> PostingEngine:
    """Return the compiled engine, or that in numpy where nothing was compiled."""
    from expertrag_index.postings.compiled import CompiledEngine
    from expertrag_index.postings.plain import PlainEngine

    module = load_module("_postings")
    return CompiledEngine(module) if module else PlainEngine()
