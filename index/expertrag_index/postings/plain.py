"""The engine in numpy, and the reference of the compiled one: scores every chunk with a term."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from expertrag_index.postings.engine import Found, RowBits, Scores, WeightedTerms
from expertrag_index.postings.segment import PostingSegment


class PlainEngine:
    """Implements ``PostingEngine`` in numpy."""

    name = "numpy"

    def find(self, segment: PostingSegment, term: bytes) -> int:
        """Return the place of a term in the vocabulary, -1 if it is not there."""
        low, high = 0, segment.terms
        while low < high:
            middle = (low + high) // 2
            if segment.term(middle) < term:
                low = middle + 1
            else:
                high = middle
        return low if low < segment.terms and segment.term(low) == term else -1

    def count(self, segment: PostingSegment, start: int, end: int, allowed: RowBits) -> int:
        """Count the postings from ``start`` to ``end`` whose rows are allowed."""
        rows = _rows(segment, start, end)
        return int(np.count_nonzero(_bits_of(allowed, segment.count)[rows]))

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
        total = self._totals(segment, terms, norms)
        if allowed is not None:
            total[~_bits_of(allowed, segment.count)] = 0
        rows = np.flatnonzero(total)
        keys = np.concatenate([best_so_far.keys, segment.keys[rows]])
        scores = np.concatenate([best_so_far.scores, total[rows]])
        order = np.lexsort((keys, -scores))[:k]
        return Found(keys[order], scores[order])

    def scores(
        self,
        segment: PostingSegment,
        terms: WeightedTerms,
        norms: Scores,
        rows: NDArray[np.int64],
    ) -> Scores:
        """Score the given rows, which ascend; 0 where no term occurs."""
        return self._totals(segment, terms, norms)[rows]

    def _totals(self, segment: PostingSegment, terms: WeightedTerms, norms: Scores) -> Scores:
        total = np.zeros(segment.count)
        ranges = zip(terms.starts, terms.ends, terms.weights, strict=True)
        for start, end, weight in ranges:
            rows = _rows(segment, start, end)
            counts = segment.counts[start:end].astype(np.float64)
            norm = norms[np.minimum(segment.lengths[rows], len(norms) - 1)]
            total[rows] += weight * counts / (counts + norm)
        return total


def _rows(segment: PostingSegment, start: int, end: int) -> NDArray[np.uint32]:
    rows = segment.rows[start:end]
    if len(rows) and rows.max() >= segment.count:
        raise segment.make_damage_error()
    return rows


def _bits_of(bits: RowBits, count: int) -> NDArray[np.bool_]:
    return np.unpackbits(bits.view(np.uint8), count=count, bitorder="little").view(np.bool_)
