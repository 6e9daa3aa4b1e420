"""Which FAISS segments the next generation has, and writing them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

import numpy as np

from expertrag_index import vectors
from expertrag_index.durable import write_durably
from expertrag_index.layout import Layout
from expertrag_index.manifest import FileEntry, SegmentEntry, file_entry
from expertrag_index.rows import iter_vectors, vectors_of
from expertrag_index.settings import WriterSettings
from expertrag_index.tuning import tune
from expertrag_index.types import KeyArray


@dataclass(frozen=True, slots=True)
class SegmentSet:
    """Segments of a generation and the measured recall@10 of searching them."""

    entries: tuple[SegmentEntry, ...]
    recall: float


def must_merge(
    entries: tuple[SegmentEntry, ...], live: int, new: int, settings: WriterSettings
) -> bool:
    """Whether all segments are merged into one, instead of adding one for the ``new`` chunks."""
    held = sum(entry.count for entry in entries) + new
    flat = sum(entry.count for entry in entries if entry.kind == vectors.FLAT) + new
    return (
        live <= settings.small
        or not entries
        or len(entries) + (new > 0) > settings.max_segments
        or held - live > settings.dead_share * held
        or (live > settings.flat_limit and flat > settings.flat_share * live)
    )


def next_segments(
    layout: Layout,
    connection: sqlite3.Connection,
    previous: SegmentSet,
    live: KeyArray,
    new: KeyArray,
    settings: WriterSettings,
    dimension: int,
) -> SegmentSet:
    """Write what the chunks ``live`` need, of which ``new`` are in no segment yet."""
    if not len(live):
        return SegmentSet((), 1.0)
    if not must_merge(previous.entries, len(live), len(new), settings):
        if not len(new):
            return previous
        segment = vectors.build_flat(iter_vectors(connection, new), dimension)
        return SegmentSet((*previous.entries, _write(layout, segment)), previous.recall)
    if len(live) <= settings.flat_limit:
        segment = vectors.build_flat(iter_vectors(connection, live), dimension)
        return SegmentSet((_write(layout, segment),), 1.0)
    return _merge_ivf(layout, connection, live)


def write_derived(layout: Layout, data: bytes, suffix: str) -> FileEntry:
    """Write an immutable file under ``segments/``, named by its content."""
    entry = file_entry("", data)
    entry = replace(entry, file=f"{entry.sha256[:16]}{suffix}")
    write_durably(layout.segments / entry.file, data)
    return entry


def _merge_ivf(layout: Layout, connection: sqlite3.Connection, live: KeyArray) -> SegmentSet:
    rng = np.random.default_rng(0)
    chosen = rng.choice(live, vectors.sample_size(len(live)), replace=False)
    sample = vectors_of(connection, np.sort(chosen))
    segment = vectors.build_ivf(iter_vectors(connection, live), sample, len(live))
    segment, recall = tune(connection, segment, live)
    return SegmentSet((_write(layout, segment),), recall)


def _write(layout: Layout, segment: vectors.Segment) -> SegmentEntry:
    entry = write_derived(layout, vectors.serialise(segment), ".faiss")
    return SegmentEntry(entry, segment.kind, segment.count, segment.nprobe, segment.nlist)
