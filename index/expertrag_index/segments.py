"""Chooses and writes the FAISS segments of the next generation.

A small update writes a small file: a new segment takes in the newest ones that are not much larger,
so that each is several times the size of the next, there are few of them, and a vector is rewritten
a logarithmic number of times (the logarithmic method; Bentley & Saxe 1980).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from expertrag_index import vectors
from expertrag_index.durable import write_durably
from expertrag_index.layout import Layout
from expertrag_index.manifest import FileEntry, SegmentEntry, file_entry
from expertrag_index.opening import read_verified
from expertrag_index.rows import iter_vectors, vectors_of
from expertrag_index.settings import WriterSettings
from expertrag_index.tuning import tune
from expertrag_index.types import KeyArray

_GROWTH = 4
"""Each segment is more than so many times the size of those after it: seven for 100,000 chunks."""


def must_merge(
    entries: Sequence[SegmentEntry], live: int, new: int, settings: WriterSettings
) -> bool:
    """Whether to merge all segments of a partition, instead of adding one for ``new`` chunks.

    Segments of different experts are never merged: their vectors are in different spaces.
    """
    held = sum(entry.count for entry in entries) + new
    flat = sum(entry.count for entry in entries if entry.kind == vectors.FLAT) + new
    return (
        live <= settings.small
        or not entries
        or len(larger(entries, new)) + (new > 0) > settings.max_segments
        or held - live > settings.dead_share * held
        or (live > settings.flat_limit and flat > settings.flat_share * live)
    )


def larger(entries: Sequence[SegmentEntry], new: int) -> Sequence[SegmentEntry]:
    """Return the segments, oldest first, that a segment of ``new`` chunks does not take in."""
    kept, held = len(entries), new
    while new and kept and entries[kept - 1].count <= _GROWTH * held:
        kept -= 1
        held += entries[kept].count
    return entries[:kept]


class SegmentWriter:
    """Writes the segments that a generation needs in addition to those that it keeps."""

    def __init__(
        self,
        layout: Layout,
        connection: sqlite3.Connection,
        settings: WriterSettings,
        dimension: int,
    ) -> None:
        self._layout = layout
        self._connection = connection
        self._settings = settings
        self._dimension = dimension

    def next_segments(
        self, expert: str, previous: Sequence[SegmentEntry], live: KeyArray, new: KeyArray
    ) -> tuple[SegmentEntry, ...]:
        """Return the segments of a partition of ``live`` chunks; ``new`` ones are in none yet."""
        if not len(live):
            return ()
        if not must_merge(previous, len(live), len(new), self._settings):
            kept = larger(previous, len(new))
            held = [self._keys(entry) for entry in previous[len(kept) :]]
            new = np.intersect1d(np.concatenate([*held, new]), live)
            return (*kept, self._flat(expert, new)) if len(new) else tuple(kept)
        if len(live) <= self._settings.flat_limit:
            return (self._flat(expert, live),)
        return (self._ivf(expert, live),)

    def _keys(self, entry: SegmentEntry) -> KeyArray:
        data = read_verified(self._layout, entry.entry)
        return vectors.deserialise(data, entry, self._dimension).keys

    def _flat(self, expert: str, keys: KeyArray) -> SegmentEntry:
        segment = vectors.build_flat(iter_vectors(self._connection, keys), self._dimension)
        return self._write(expert, segment, 1.0)

    def _ivf(self, expert: str, live: KeyArray) -> SegmentEntry:
        rng = np.random.default_rng(0)
        chosen = rng.choice(live, vectors.sample_size(len(live)), replace=False)
        sample = vectors_of(self._connection, np.sort(chosen))
        segment = vectors.build_ivf(iter_vectors(self._connection, live), sample, len(live))
        return self._write(expert, *tune(self._connection, segment, live))

    def _write(self, expert: str, segment: vectors.Segment, recall: float) -> SegmentEntry:
        entry = _write_file(self._layout, vectors.serialise(segment))
        return SegmentEntry(
            entry, segment.kind, segment.count, segment.nprobe, segment.nlist, expert, recall
        )


def recall_of(entries: Sequence[SegmentEntry]) -> float:
    """Recall@10 over all segments: the worst of each partition, weighted by its chunks."""
    held: dict[str, int] = {}
    worst: dict[str, float] = {}
    for entry in entries:
        held[entry.expert] = held.get(entry.expert, 0) + entry.count
        worst[entry.expert] = min(worst.get(entry.expert, 1.0), entry.recall)
    total = sum(held.values())
    return sum(held[expert] * worst[expert] for expert in held) / total if total else 1.0


def _write_file(layout: Layout, data: bytes) -> FileEntry:
    """Write an immutable file under ``segments/``, named after its hash."""
    entry = file_entry("", data)
    entry = replace(entry, file=f"{entry.sha256[:16]}.faiss")
    write_durably(layout.segments / entry.file, data)
    return entry
