"""Which rows of several segments are admitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from expertrag_index.postings.engine import RowBits
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.search.ascending_keys import candidate_places, places_of
from expertrag_index.types import KeyArray

Number = TypeVar("Number", bound=np.generic)

_LISTED_SHARE = 1 / 16
"""Rows are also listed where they are so few of a segment: a filter may admit only some."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentRows:
    """Admitted rows of one segment.

    ``bits``: None for all rows. ``listed``: the rows, ascending, if they are few.
    """

    count: int
    bits: RowBits | None = None
    listed: NDArray[np.int64] | None = None

    def select(self, segment: PostingSegment, keys: KeyArray) -> NDArray[np.int64]:
        """Return the admitted rows of chunks with the given keys; both ascend."""
        rows = _rows_of(segment, keys)
        if self.bits is not None:
            word, bit = self.bits[rows >> 6], (rows & 63).astype(np.uint64)
            rows = rows[(word >> bit & np.uint64(1)).astype(np.bool_)]
        return rows

    def of(self, values: NDArray[Number]) -> NDArray[Number]:
        """Return the values of the admitted rows."""
        if self.bits is None:
            return values
        bits = np.unpackbits(self.bits.view(np.uint8), count=len(values), bitorder="little")
        return values[bits.view(np.bool_)]


@dataclass(frozen=True, slots=True, eq=False)
class RowMask:
    """Admitted rows, by segment. Made by ``PostingSearcher.mask``, and for its segments only."""

    parts: tuple[SegmentRows, ...]

    @property
    def count(self) -> int:
        """Number of admitted rows."""
        return sum(part.count for part in self.parts)


def all_rows(segments: Sequence[PostingSegment]) -> RowMask:
    """Admit every row."""
    return RowMask(tuple(SegmentRows(segment.count) for segment in segments))


def rows_with(segments: Sequence[PostingSegment], keys: KeyArray, within: RowMask) -> RowMask:
    """Admit those rows of ``within`` whose chunks are among ``keys``, ascending."""
    parts = zip(segments, within.parts, strict=True)
    return RowMask(tuple(_part(segment, part.select(segment, keys)) for segment, part in parts))


def _rows_of(segment: PostingSegment, keys: KeyArray) -> NDArray[np.int64]:
    if not segment.count or not len(keys):
        return np.empty(0, np.int64)
    if len(keys) < segment.count:
        return places_of(keys, segment.keys)
    return np.flatnonzero(keys[candidate_places(segment.keys, keys)] == segment.keys)


def _part(segment: PostingSegment, rows: NDArray[np.int64]) -> SegmentRows:
    if len(rows) == segment.count:
        return SegmentRows(len(rows))
    bits = np.zeros(-(-segment.count // 64) * 64, np.bool_)
    bits[rows] = True
    listed = rows if len(rows) <= _LISTED_SHARE * segment.count else None
    return SegmentRows(len(rows), np.packbits(bits, bitorder="little").view(np.uint64), listed)
