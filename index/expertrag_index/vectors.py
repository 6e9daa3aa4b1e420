"""FAISS segments: immutable inner-product indexes over normalised vectors; ids are chunk keys.

A segment file is hashed before FAISS parses it, because most damaged files load without an error
(measured: 55 % of 2,400 mutants). FAISS then maps it, as fast as reading it into memory, and shared
by all processes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import StoreCorruptError
from expertrag_index.layout import Layout
from expertrag_index.manifest import SegmentEntry
from expertrag_index.read_ahead import ReadAhead, ask_for
from expertrag_index.segment_files import map_verified
from expertrag_index.types import FloatArray, KeyArray
from expertrag_index.vector_rows import VectorRows, iter_vectors, normalised

FLAT = "flat"
IVF = "ivf_sq8"

Bitmap = NDArray[np.uint8]

_faiss: Any = faiss  # its type stubs have only the C++ signatures, not those of the wrappers

_SAMPLES_PER_LIST = 40  # FAISS requires at least 39; with 20, real lists differ more in size
_ITERATIONS = 6  # with 10, the default, recall is within .01: training is most of a large build
_SEED = 1234
_WRITTEN_BYTES = 1 << 20  # at a time
_REFINE = 2  # candidates per wanted hit of a quantised segment, rescored exactly: as good as 4


@dataclass(frozen=True, slots=True)
class Hits:
    """Keys and cosines of a search, best first; ``exact`` is False for quantised scores."""

    keys: KeyArray
    scores: FloatArray
    exact: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """A loaded segment, immutable. Searching is thread-safe."""

    index: Any
    kind: str
    nprobe: int
    nlist: int
    rows: VectorRows
    read_ahead: ReadAhead = field(default_factory=ReadAhead, compare=False)

    @property
    def count(self) -> int:
        """Number of vectors, including tombstones."""
        return int(self.index.ntotal)

    @property
    def indexed_keys(self) -> KeyArray:
        """Chunk keys in the FAISS index, in no particular order; ``rows.keys`` is the same set."""
        if self.kind == FLAT:
            return faiss.vector_to_array(self.index.id_map).astype(np.int64)
        lists = self.index.invlists
        sizes = [lists.list_size(i) for i in range(lists.nlist)]
        parts = [
            faiss.rev_swig_ptr(lists.get_ids(i), size).copy()
            for i, size in enumerate(sizes)
            if size
        ]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def scan_cost(self) -> int:
        """Return how many vectors one search compares, on average for IVF."""
        if self.kind == FLAT:
            return self.count
        return min(self.count, math.ceil(self.count * self.nprobe / self.nlist))

    def search(self, query: FloatArray, k: int, allowed: Bitmap | None, wanted: int) -> Hits:
        """Find the best hits for ``query`` [D] among the keys whose bit is set in ``allowed``.

        :param allowed: bitmap over keys, little-endian, or None for all.
        :param wanted: number of admissible keys; IVF probes more lists until it has ``k`` hits, or
            as many as exist.
        """
        selector = None if allowed is None else _faiss.IDSelectorBitmap(allowed)
        if self.kind == FLAT:
            parameters = _faiss.SearchParameters(sel=selector) if selector else None
            return self._run(query, min(k, self.count), parameters, exact=True)
        nprobe = self.nprobe
        if allowed is not None:
            # the nearest admissible vectors are further away; with the root, recall at a million
            # chunks is no lower under filters of 1, 10 and 50 % than without one
            share = wanted / self.count
            nprobe = min(self.nlist, math.ceil(nprobe / math.sqrt(max(share, 1e-9))))
        while True:
            parameters = _faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)
            if self.read_ahead.wanted:
                ask_for(self._lists(query, nprobe))
            with self.read_ahead.watching():
                hits = self._run(query, min(_REFINE * k, self.count), parameters, exact=False)
            if len(hits.keys) >= min(k, wanted) or nprobe >= self.nlist:
                return hits
            nprobe = min(self.nlist, nprobe * 4)

    def _lists(self, query: FloatArray, nprobe: int) -> Iterator[tuple[int, int]]:
        """Yield the places in memory of the lists that a search reads."""
        _, found = self.index.quantizer.search(query[None], nprobe)
        lists, code_bytes = self.index.invlists, self.index.code_size
        for number in found[0].tolist():
            if number >= 0 and (size := lists.list_size(number)):
                yield int(lists.get_codes(number)), size * code_bytes
                yield int(lists.get_ids(number)), size * 8

    def _run(self, query: FloatArray, k: int, parameters: object, *, exact: bool) -> Hits:
        scores, keys = self.index.search(query[None], k, params=parameters)
        found = keys[0] >= 0  # FAISS pads with -1
        return Hits(keys[0][found], scores[0][found], exact)


def cosines(segments: Sequence[Segment], keys: KeyArray, query: FloatArray) -> FloatArray:
    """Return the cosines [N] of chunks, each in one of the segments, with a query [D].

    :raises StoreCorruptError: a chunk is in none.
    """
    found = np.full(len(keys), np.nan, np.float32)
    for segment in segments:
        rows = segment.rows.rows(keys)
        held = np.flatnonzero(rows >= 0)
        if len(held):
            if segment.read_ahead.wanted:
                ask_for(segment.rows.places(rows[held]))
            with segment.read_ahead.watching():
                stored = segment.rows.at(rows[held])
            found[held] = normalised(stored) @ query
    if missing := int(np.isnan(found).sum()):
        raise StoreCorruptError(f"the vector segments lack {missing} chunks")
    return found


def build_flat(rows: VectorRows, dimension: int) -> Segment:
    """Build an exact segment."""
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
    for keys, vectors in iter_vectors(rows, rows.keys):
        index.add_with_ids(vectors, keys)
    return Segment(index, FLAT, 0, 0, rows)


def build_ivf(rows: VectorRows, dimension: int) -> Segment:
    """Build an IVF(4√n),SQ8 segment, trained on a sample; ``nprobe`` is still to be tuned."""
    count = len(rows.keys)
    nlist = _list_count(count)
    index: Any = faiss.index_factory(dimension, f"IVF{nlist},SQ8", faiss.METRIC_INNER_PRODUCT)
    index.cp.seed = _SEED
    index.cp.niter = _ITERATIONS
    index.cp.min_points_per_centroid = 1
    index.cp.max_points_per_centroid = _SAMPLES_PER_LIST
    size = min(count, nlist * _SAMPLES_PER_LIST)
    chosen = np.random.default_rng(0).choice(count, size, replace=False)
    index.train(normalised(rows.at(np.sort(chosen))))
    for keys, vectors in iter_vectors(rows, rows.keys):
        index.add_with_ids(vectors, keys)
    return Segment(index, IVF, 1, nlist, rows)


def _list_count(count: int) -> int:
    return min(count, round(4 * math.sqrt(count)))


def write_segment(segment: Segment, path: Path) -> None:
    """Write the FAISS index of a segment."""
    with path.open("wb") as file:
        faiss.write_index(segment.index, _faiss.PyCallbackIOWriter(file.write, _WRITTEN_BYTES))


def open_segment(layout: Layout, entry: SegmentEntry, dimension: int) -> Segment:
    """Map a segment, and compare it with the manifest.

    :raises StoreCorruptError: a file is missing or damaged; or kind, dimension, metric or count
        differ.
    """
    _limit_allocations()
    name = entry.entry.file
    map_verified(layout, entry.entry).close()
    try:
        index = faiss.read_index(str(layout.segments / name), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        raise StoreCorruptError(f"{name} is not a vector index") from error
    rows = VectorRows(map_verified(layout, entry.rows), entry.rows.file, dimension)
    expected = faiss.IndexIDMap2 if entry.kind == FLAT else faiss.IndexIVFScalarQuantizer
    sound = (
        isinstance(index, expected)
        and index.d == dimension
        and index.ntotal == entry.count == len(rows.keys)
        and index.metric_type == faiss.METRIC_INNER_PRODUCT
    )
    if not sound:
        raise StoreCorruptError(f"{name} is not the vector index that the manifest describes")
    return Segment(index, entry.kind, entry.nprobe, entry.nlist, rows)


@functools.cache
def _limit_allocations() -> None:
    """Limit what a file can make FAISS allocate: the default is 1 TB, without a limit on loops."""
    faiss.set_deserialization_vector_byte_limit(1 << 32)
    faiss.set_deserialization_loop_limit(1 << 20)
