"""The engine in C++ (``cpu/``): the same results as ``plain``, without reading every posting."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from expertrag_index.postings.engine import Found, RowBits, Scores, WeightedTerms
from expertrag_index.postings.segment import PostingSegment


class CompiledEngine:
    """Implements ``PostingEngine`` with the compiled module."""

    name = "C++"

    def __init__(self, module: ModuleType) -> None:
        """Use ``expertrag_index._postings``."""
        self._module = module

    def find(self, segment: PostingSegment, term: bytes) -> int:
        """Return the place of a term in the vocabulary, -1 if it is not there."""
        position: int = self._module.find(segment.vocabulary, segment.term_starts, term)
        return position

    def count(self, segment: PostingSegment, start: int, end: int, allowed: RowBits) -> int:
        """Count the postings from ``start`` to ``end`` whose rows are allowed."""
        counted: int = self._module.count(segment.rows, start, end, allowed, segment.count)
        if counted < 0:
            raise segment.make_damage_error()
        return counted

    def best(
        self,
        segment: PostingSegment,
        terms: WeightedTerms,
        norms: Scores,
        allowed: RowBits | None,
        k: int,
        best_so_far: Found,
    ) -> Found:
        """Return the ``k`` best of the chunks found in other segments and of this one's."""
        keys, scores = np.empty(k, np.int64), np.empty(k, np.float64)
        known = len(best_so_far.keys)
        keys[:known], scores[:known] = best_so_far.keys, best_so_far.scores
        size = self._module.best(
            *_arrays(segment), *_terms(terms), norms, allowed, keys, scores, known
        )
        if size < 0:
            raise segment.make_damage_error()
        return Found(keys[:size], scores[:size])

    def scores(
        self,
        segment: PostingSegment,
        terms: WeightedTerms,
        norms: Scores,
        rows: NDArray[np.int64],
    ) -> Scores:
        """Score the given rows, which ascend; 0 where no term occurs."""
        scores = np.empty(len(rows))
        self._module.scores(*_arrays(segment), *_terms(terms), norms, rows, scores)
        return scores


def _arrays(segment: PostingSegment) -> tuple[NDArray[np.generic], ...]:
    return (
        segment.keys,
        segment.lengths,
        segment.rows,
        segment.counts,
        segment.block_counts,
        segment.block_lengths,
    )


def _terms(terms: WeightedTerms) -> tuple[NDArray[np.generic], ...]:
    return terms.starts, terms.ends, terms.weights
