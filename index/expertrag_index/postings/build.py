"""Builds the segment of new chunks.

Chunks are collected in runs that fit into memory; each is sorted and written as a segment of its
own, and the runs are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from expertrag_index.postings.file_format import MOST_COUNT
from expertrag_index.postings.merge import merge_postings
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.postings.writer import PostingWriter
from expertrag_index.store.manifest import FileEntry
from expertrag_index.types import KeyArray, Progress, silent

RUN_TERMS = 1 << 22
"""Terms of a run, with repetitions: 35,000 chunks of 120 words, 150 MB while they are sorted."""

_STAGE = "index terms"
_ROW_BITS = 32

Batch = tuple[KeyArray, Sequence[Sequence[str]]]
"""Keys of chunks, and the terms of each (``analysis.tokens`` of its title and text)."""


def build_postings(
    batches: Iterable[Batch],
    folder: Path,
    progress: Progress = silent,
    run_terms: int = RUN_TERMS,
) -> FileEntry:
    """Write the segment of new chunks into a folder, and return its name, size and checksum.

    Runs are written into files of the same folder, whose names are removed at once.

    :param batches: keys must ascend over all batches.
    :param run_terms: terms after which a run is written.
    """
    segments: list[PostingSegment] = []
    for run, last in _runs(batches, run_terms, progress):
        with run.writer(folder) as writer:
            if last and not segments:
                return writer.finish()
            segments.append(writer.finish_unnamed())
    return merge_postings(segments, None, folder, progress)


def _runs(
    batches: Iterable[Batch], run_terms: int, progress: Progress
) -> Iterator[tuple[_Run, bool]]:
    """Yield runs of chunks, and whether each is the last."""
    run, done = _Run(), 0
    for keys, chunks in batches:
        run.add(keys, chunks)
        done += len(keys)
        progress(_STAGE, done, None)
        if run.terms >= run_terms:
            yield run, False
            run = _Run()
    yield run, True


class _Numbers(dict[str, int]):
    """Numbers terms in the order in which they occur."""

    def __missing__(self, term: str) -> int:
        number = self[term] = len(self)
        return number


class _Run:
    """Chunks in memory."""

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._keys = [np.empty(0, np.int64)]
        self._lengths = [np.empty(0, np.uint32)]
        self._terms = [np.empty(0, np.int32)]
        self.terms = 0

    def add(self, keys: KeyArray, chunks: Sequence[Sequence[str]]) -> None:
        """Add chunks, whose keys follow those before."""
        keys = np.asarray(keys, np.int64)
        if len(keys) != len(chunks) or np.any(np.diff(self._keys[-1][-1:], append=keys) <= 0):
            raise ValueError("keys must ascend, and be as many as chunks")
        if not len(keys):
            return
        lengths = np.fromiter(map(len, chunks), np.uint32, len(chunks))
        total = int(lengths.sum())
        numbers = map(self._numbers.__getitem__, chain.from_iterable(chunks))
        self._terms.append(np.fromiter(numbers, np.int32, total))
        self._lengths.append(lengths)
        self._keys.append(keys)
        self.terms += total

    def writer(self, folder: Path) -> PostingWriter:
        """Return the writer of the segment of the chunks, which only has to be finished."""
        lengths = np.concatenate(self._lengths)
        terms = sorted(self._numbers)
        rank = np.empty(len(terms), np.int64)
        rank[[self._numbers[term] for term in terms]] = np.arange(len(terms))
        row = np.repeat(np.arange(len(lengths)), lengths)
        pairs = rank[np.concatenate(self._terms)] << _ROW_BITS | row
        pairs.sort()
        starts = np.flatnonzero(np.diff(pairs, prepend=-1))
        counts = np.minimum(np.diff(starts, append=len(pairs)), MOST_COUNT).astype(np.uint16)
        pairs = pairs[starts]
        sizes = np.bincount(pairs >> _ROW_BITS, minlength=len(terms))
        result = PostingWriter(folder, np.concatenate(self._keys), lengths)
        result.add([term.encode() for term in terms], sizes, pairs.astype(np.uint32), counts)
        return result
