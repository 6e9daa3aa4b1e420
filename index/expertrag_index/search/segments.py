"""Chooses and writes the FAISS segments of the next generation.

A small update writes a small file: a new segment takes in the newest ones that are not much larger.
Each is therefore several times the size of the next, and there are few of them. A vector is
rewritten a logarithmic number of times (the logarithmic method; Bentley & Saxe 1980).
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from expertrag_index.build.settings import WriterSettings
from expertrag_index.errors import StoreCorruptError
from expertrag_index.search import vectors
from expertrag_index.search.ascending_keys import places_of
from expertrag_index.search.ivf import IVF, write_ivf
from expertrag_index.search.segment_files import adopt_file, open_verified, temporary_file
from expertrag_index.search.tuning import Probed, pieces_of, tune
from expertrag_index.search.vector_rows import HalfArray, VectorRows, VectorSource, write_rows
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import FileEntry, PostingsEntry, SegmentEntry
from expertrag_index.store.rows import StoredVectors
from expertrag_index.types import DocumentEmbedder, KeyArray

Entry = TypeVar("Entry", SegmentEntry, PostingsEntry)

NOT_PROBED: Mapping[str, Probed] = MappingProxyType({})

_GROWTH = 4
"""Each segment is more than so many times the size of those after it: seven for 100,000 chunks."""


def must_merge(
    entries: Sequence[SegmentEntry], live: int, new: int, settings: WriterSettings
) -> bool:
    """Whether to merge all segments of a partition, instead of adding one for ``new`` chunks.

    Segments of different experts are never merged: their vectors are in different spaces.
    """
    flat = sum(entry.count for entry in entries if entry.kind == vectors.FLAT) + new
    return (
        not entries
        or overgrown(entries, live, new, settings)
        or (live > settings.flat_limit and flat > settings.flat_share * live)
    )


def overgrown(entries: Sequence[Entry], live: int, new: int, settings: WriterSettings) -> bool:
    """Whether segments are small, too many, or hold too many tombstones, after ``new`` chunks."""
    held = sum(entry.count for entry in entries) + new
    return (
        live <= settings.small
        or len(larger(entries, new)) + (new > 0) > settings.max_segments
        or held - live > settings.dead_share * held
    )


def larger(entries: Sequence[Entry], new: int) -> Sequence[Entry]:
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
        embedder: DocumentEmbedder | None = None,
        probed: Mapping[str, Probed] = NOT_PROBED,
    ) -> None:
        """Write segments.

        :param embedder: encodes what large segments are tuned with.
        :param probed: without one, what to probe, by expert.
        """
        self._embedder = embedder
        self._probed = probed
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
        kept: Sequence[SegmentEntry] = ()
        merged = live
        if not must_merge(previous, len(live), len(new), self._settings):
            kept = larger(previous, len(new))
            previous = previous[len(kept) :]
            held = [self._open_rows(entry.rows).keys for entry in previous]
            candidates = np.sort(np.concatenate([*held, new]))
            merged = live[places_of(candidates, live)]
            if not len(merged):
                return tuple(kept)
        source = _Vectors(self._readable(previous), StoredVectors(self._connection))
        exact = len(kept) > 0 or len(live) <= self._settings.flat_limit
        return (*kept, self._write(expert, merged, source, exact=exact))

    def _open_rows(self, entry: FileEntry) -> VectorRows:
        with open_verified(self._layout, entry) as file:
            return VectorRows(file, entry.file, self._dimension)

    def _readable(self, entries: Sequence[SegmentEntry]) -> Iterator[VectorRows]:
        for entry in entries:
            with contextlib.suppress(StoreCorruptError):  # the database also has them
                yield self._open_rows(entry.rows)

    def _write(
        self, expert: str, keys: KeyArray, source: VectorSource, *, exact: bool
    ) -> SegmentEntry:
        temporary = temporary_file(self._layout)
        write_rows(temporary, keys, source, self._dimension)
        file = adopt_file(temporary, ".rows")
        rows = self._open_rows(file)
        if exact:
            segment, recall = vectors.build_flat(rows, self._dimension), 1.0
            vectors.write_segment(segment, temporary)
        else:
            write_ivf(temporary, rows, self._dimension, threads=self._settings.threads)
            segment, recall = self._tune(vectors.map_ivf(temporary, rows), expert)
        return SegmentEntry(
            adopt_file(temporary, ".faiss"),
            file,
            segment.kind,
            segment.count,
            segment.nprobe,
            segment.nlist,
            expert,
            recall,
        )

    def _tune(self, segment: vectors.Segment, expert: str) -> tuple[vectors.Segment, float]:
        keys = segment.rows.keys
        if self._embedder is None and expert in self._probed:
            known = self._probed[expert]
            return replace(segment, nprobe=math.ceil(known.share * segment.nlist)), known.recall
        pieces = None
        if self._embedder is not None:
            pieces = pieces_of(self._connection, keys, self._embedder, expert)
        return tune(segment.rows, segment, keys, pieces)


def read_probed_shares(entries: Iterable[SegmentEntry]) -> dict[str, Probed]:
    """Return what the IVF segments of a generation probe, by expert."""
    return {
        entry.expert: Probed(entry.nprobe / entry.nlist, entry.recall)
        for entry in entries
        if entry.kind in IVF
    }


class _Vectors:
    """Vectors from the segments that are merged, and of new chunks from the database."""

    def __init__(self, merged: Iterable[VectorRows], database: VectorSource) -> None:
        self._merged = tuple(rows for rows in merged if len(rows.keys))
        self._database = database

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        """Return the vectors [N, D] of chunks as they are stored, in the order of ``keys``."""
        parts: list[HalfArray] = []
        places: list[NDArray[np.intp]] = []
        missing = np.ones(len(keys), np.bool_)
        for held in self._merged:
            rows = held.rows(keys)
            hits = np.flatnonzero((rows >= 0) & missing)
            missing[hits] = False
            places.append(hits)
            parts.append(held.at(rows[hits]))
        if missing.any():
            places.append(np.flatnonzero(missing))
            parts.append(self._database.read_vectors(keys[missing]))
        order = np.argsort(np.concatenate(places))
        return np.concatenate([part for part in parts if len(part)])[order]


def recall_of(entries: Sequence[SegmentEntry]) -> float:
    """Recall@10 over all segments: the worst of each partition, weighted by its chunks."""
    held: dict[str, int] = {}
    worst: dict[str, float] = {}
    for entry in entries:
        held[entry.expert] = held.get(entry.expert, 0) + entry.count
        worst[entry.expert] = min(worst.get(entry.expert, 1.0), entry.recall)
    total = sum(held.values())
    return sum(held[expert] * worst[expert] for expert in held) / total if total else 1.0
