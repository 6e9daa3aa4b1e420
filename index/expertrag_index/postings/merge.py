"""Merges segments into one, of the live chunks alone.

The vocabularies are read in step, a range of terms at a time, so that the memory needed does not
grow with the postings. It holds one range, and a few bytes per chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import lt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.postings.writer import PostingWriter
from expertrag_index.store.manifest import FileEntry
from expertrag_index.types import KeyArray, Progress, silent

_POSTINGS = 1 << 21
"""Postings of a range of terms, if no term has more: 64 MB while they are sorted."""

_TERMS = 1 << 16  # of a range: their numbers take 16 bits of a packed posting
_DEAD = np.uint32(0xFFFFFFFF)
_COUNT_BITS, _ROW_BITS = np.uint64(16), np.uint64(32)
_STAGE = "merge postings"

Postings = NDArray[np.uint64]
"""Packed: number of the term << 48 | row << 16 | count; they sort by term, then by row."""


def merge_postings(
    segments: Sequence[PostingSegment],
    live: KeyArray | None,
    folder: Path,
    progress: Progress = silent,
) -> FileEntry:
    """Write the segment of the chunks of ``segments`` that are ``live``; None for all.

    It is the same, byte for byte, as one built of these chunks alone. No chunk may be in two
    segments.

    :param live: keys, ascending.
    :raises StoreCorruptError: a segment is damaged.
    """
    sources, keys, lengths = _sources(segments, live)
    total = sum(source.segment.terms for source in sources)
    with PostingWriter(folder, keys, lengths) as writer:
        for terms, postings, done in _ranges(sources):
            numbers = (postings >> (_ROW_BITS + _COUNT_BITS)).astype(np.int64)
            starts = np.flatnonzero(np.diff(numbers, prepend=-1))
            writer.add(
                [terms[number] for number in numbers[starts]],
                np.diff(starts, append=len(postings)),
                (postings >> _COUNT_BITS).astype(np.uint32),
                postings.astype(np.uint16),
            )
            progress(_STAGE, done, total)
        return writer.finish()


@dataclass(slots=True)
class _Source:
    """A segment, the new row of each of its rows, and the first term that has not been read."""

    segment: PostingSegment
    rows: NDArray[np.uint32]
    term: int = 0

    def last(self, postings: int, terms: int) -> bytes:
        """Return the last term of a range of about so many postings, and of at most ``terms``."""
        starts = self.segment.posting_starts
        full = int(np.searchsorted(starts, starts[self.term] + np.uint64(postings)))
        end = min(max(full, self.term + 1), self.term + terms, self.segment.terms)
        return self.segment.term(end - 1)

    def read(self, last: bytes) -> tuple[list[bytes], NDArray[np.int64], Postings]:
        """Read the terms up to ``last``: the sizes of their postings, and these, packed.

        The numbers of the terms are left out.
        """
        segment, start = self.segment, self.term
        end = self.term = _after(segment, last, start)
        places = segment.term_starts[start : end + 1].tolist()
        vocabulary = segment.vocabulary.data
        terms = [bytes(vocabulary[a:b]) for a, b in pairwise(places)]
        starts = segment.posting_starts[start : end + 1].astype(np.int64)
        rows, counts = (part[starts[0] : starts[-1]] for part in (segment.rows, segment.counts))
        if len(rows) and rows.max() >= segment.count:
            raise segment.make_damage_error()
        packed = self.rows[rows].astype(np.uint64) << _COUNT_BITS
        return terms, np.diff(starts), packed | counts


def _sources(
    segments: Sequence[PostingSegment], live: KeyArray | None
) -> tuple[list[_Source], KeyArray, NDArray[np.uint32]]:
    """Give live rows new numbers, by ascending keys; return also their keys and lengths."""
    alive = [
        np.ones(segment.count, np.bool_) if live is None else np.isin(segment.keys, live)
        for segment in segments
    ]
    parts = list(zip(segments, alive, strict=True))
    keys = np.concatenate([np.empty(0, np.int64), *(part.keys[rows] for part, rows in parts)])
    lengths = np.concatenate(
        [np.empty(0, np.uint32), *(part.lengths[rows] for part, rows in parts)]
    )
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    if len(repeated := np.flatnonzero(keys[1:] == keys[:-1])):
        raise ValueError(f"chunk {keys[repeated[0]]} is in two segments: merge each chunk once")
    new = np.empty(len(keys), np.uint32)
    new[order] = np.arange(len(keys), dtype=np.uint32)
    sources, start = [], 0
    for segment, rows in parts:
        numbers = np.full(segment.count, _DEAD)
        numbers[rows] = new[start : (start := start + int(rows.sum()))]
        sources.append(_Source(segment, numbers))
    return sources, keys, lengths[order]


def _ranges(sources: Sequence[_Source]) -> Iterator[tuple[list[bytes], Postings, int]]:
    """Yield ranges of terms: all terms, the packed postings of live rows, and the terms read."""
    before = b""  # no term is empty
    while unread := [source for source in sources if source.term < source.segment.terms]:
        share = len(unread)
        last = min(source.last(_POSTINGS // share, _TERMS // share or 1) for source in unread)
        read = [source.read(last) for source in unread]
        terms = sorted({term for part, _, _ in read for term in part})
        number = {term: position for position, term in enumerate(terms)}
        if not terms or terms[0] <= before or not all(_ascends(part) for part, _, _ in read):
            raise StoreCorruptError("a segment of postings is damaged: its terms do not ascend")
        before = terms[-1]
        packed = []
        for part, sizes, postings in read:
            numbers = np.fromiter((number[term] for term in part), np.uint64, len(part))
            kept = (postings >> _COUNT_BITS) != _DEAD
            numbered = np.repeat(numbers << (_ROW_BITS + _COUNT_BITS), sizes)
            packed.append((numbered | postings)[kept])
        merged = np.concatenate(packed)
        if len(packed) > 1:
            merged.sort()
        yield terms, merged, sum(source.term for source in sources)


def _ascends(terms: Sequence[bytes]) -> bool:
    return all(map(lt, terms, islice(terms, 1, None)))


def _after(segment: PostingSegment, term: bytes, start: int) -> int:
    """Return the place of the first term after ``term``, not before ``start``."""
    low, high = start, segment.terms
    while low < high:
        middle = (low + high) // 2
        if segment.term(middle) <= term:
            low = middle + 1
        else:
            high = middle
    return low
