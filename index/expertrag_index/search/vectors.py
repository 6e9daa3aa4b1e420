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
from typing import Any, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.combining import Combiner
from expertrag_index.search.ivf import RABITQ, SQ8, ivf_of
from expertrag_index.search.read_ahead import ReadAhead, ask_for
from expertrag_index.search.segment_files import open_verified
from expertrag_index.search.vector_rows import VectorRows, iter_vectors
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import SegmentEntry
from expertrag_index.types import FloatArray, KeyArray

FLAT = "flat"

Bitmap = NDArray[np.uint8]

_faiss: Any = faiss  # its type stubs lack the signatures of the wrappers

_WRITTEN_BYTES = 1 << 20  # at a time
_CANDIDATES = {SQ8: 2, RABITQ: 4}  # for a wanted hit; they are rescored exactly
_LEAST_CANDIDATES = 200  # of 50 from RaBitQ, .6 % fewer of the ten best were found, of 100 .2 %
_MOST_TOGETHER = 64  # queries of one call
_QUERY_BITS = 4  # of a dimension of the query; with 8, recall is the same and the search slower


@dataclass(frozen=True, slots=True)
class Hits:
    """Keys and cosines of a search, best first; ``exact`` is False for quantised scores."""

    keys: KeyArray
    scores: FloatArray
    exact: bool


_Query: TypeAlias = tuple[FloatArray, int]
"""A query [D], and how many of its hits are wanted, at most as many as there are vectors."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A loaded segment, immutable. Searching is thread-safe."""

    index: Any
    kind: str
    nprobe: int
    nlist: int
    rows: VectorRows
    read_ahead: ReadAhead = field(default_factory=ReadAhead, compare=False)
    together: Combiner[_Query, Hits] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Let concurrent searches share calls of FAISS."""
        search = functools.partial(_search_flat, self.index)  # a method would make a cycle
        object.__setattr__(self, "together", Combiner(search, _MOST_TOGETHER))

    @property
    def count(self) -> int:
        """Number of vectors, including tombstones."""
        return int(self.index.ntotal)

    @property
    def faiss_keys(self) -> KeyArray:
        """Chunk keys in the FAISS index, in no particular order; ``rows.keys`` is the same set."""
        if self.kind == FLAT:
            return faiss.vector_to_array(self.index.id_map).astype(np.int64)
        lists = ivf_of(self.index).invlists
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
            if selector is None:
                return self.together([(query, min(k, self.count))])[0]
            parameters = _faiss.SearchParameters(sel=selector)
            return self._run(query, min(k, self.count), parameters, exact=True)
        candidates = min(self.count, max(_CANDIDATES[self.kind] * k, _LEAST_CANDIDATES))
        nprobe = self.nprobe
        if allowed is not None:
            # the nearest admissible vectors are further away; with the root, recall at a million
            # chunks is not lower under filters of 1, 10 and 50 % than without one
            share = wanted / self.count
            nprobe = min(self.nlist, math.ceil(nprobe / math.sqrt(max(share, 1e-9))))
        while True:
            parameters = _parameters(self.kind, nprobe, selector)
            if self.read_ahead.is_wanted:
                ask_for(self._lists(query, nprobe))
            with self.read_ahead.watching():
                hits = self._run(query, candidates, parameters, exact=False)
            if len(hits.keys) >= min(k, wanted) or nprobe >= self.nlist:
                return hits
            nprobe = min(self.nlist, nprobe * 4)

    def _lists(self, query: FloatArray, nprobe: int) -> Iterator[tuple[int, int]]:
        """Yield the places in memory of the lists that a search reads."""
        ivf = ivf_of(self.index)
        rotated = query[None] if self.kind == SQ8 else self.index.chain.at(0).apply(query[None])
        _, numbers = ivf.quantizer.search(rotated, nprobe)
        lists, code_bytes = ivf.invlists, ivf.code_size
        for number in numbers[0].tolist():
            if number >= 0 and (size := lists.list_size(number)):
                yield int(lists.get_codes(number)), size * code_bytes
                yield int(lists.get_ids(number)), size * 8

    def _run(self, query: FloatArray, k: int, parameters: object, *, exact: bool) -> Hits:
        scores, keys = self.index.search(query[None], k, params=parameters)
        valid = keys[0] >= 0  # FAISS pads with -1
        return Hits(keys[0][valid], scores[0][valid], exact)


def _search_flat(index: Any, asked: Sequence[_Query]) -> list[Hits]:
    """Search for several queries at once: the vectors are read once for all."""
    most = max(k for _, k in asked)
    scores, keys = index.search(np.stack([query for query, _ in asked]), most)
    return [
        Hits(row[:k], values[:k], exact=True)
        for row, values, (_, k) in zip(keys, scores, asked, strict=True)
    ]


def cosines(segments: Sequence[Segment], keys: KeyArray, query: FloatArray) -> FloatArray:
    """Return the cosines [N] of chunks, each in one of the segments, with a query [D].

    :raises StoreCorruptError: a chunk is in none.
    """
    scores = np.full(len(keys), np.nan, np.float32)
    for segment in segments:
        rows = segment.rows.rows(keys)
        held = np.flatnonzero(rows >= 0)
        if len(held):
            ask = segment.read_ahead.is_wanted
            with segment.read_ahead.watching():
                scores[held] = segment.rows.cosines(rows[held], query, ask_first=ask)
    if missing := int(np.isnan(scores).sum()):
        raise StoreCorruptError(f"the vector segments lack {missing} chunks")
    return scores


def build_flat(rows: VectorRows, dimension: int) -> Segment:
    """Build an exact segment."""
    index = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
    for keys, vectors in iter_vectors(rows, rows.keys):
        index.add_with_ids(vectors, keys)
    return Segment(index, FLAT, 0, 0, rows)


def write_segment(segment: Segment, path: Path) -> None:
    """Write the FAISS index of a segment."""
    with path.open("wb") as file:
        faiss.write_index(segment.index, _faiss.PyCallbackIOWriter(file.write, _WRITTEN_BYTES))


def map_ivf(path: Path, rows: VectorRows) -> Segment:
    """Map an IVF segment that has been written; ``nprobe`` is still to be tuned."""
    index = _map_index(path)
    return Segment(index, _kind_of(index), 1, ivf_of(index).nlist, rows)


def open_segment(layout: Layout, entry: SegmentEntry, dimension: int) -> Segment:
    """Map a segment, and compare it with the manifest.

    :raises StoreCorruptError: a file is missing or damaged; or kind, dimension, metric or count
        differ.
    """
    name = entry.entry.file
    open_verified(layout, entry.entry).close()
    try:
        index = _map_index(layout.segments / name)
    except RuntimeError as error:
        raise StoreCorruptError(f"{name} is not a vector index") from error
    with open_verified(layout, entry.rows) as file:
        rows = VectorRows(file, entry.rows.file, dimension)
    sound = (
        entry.kind == _kind_of(index)
        and index.d == dimension
        and index.ntotal == entry.count == len(rows.keys)
        and index.metric_type == faiss.METRIC_INNER_PRODUCT
    )
    if not sound:
        raise StoreCorruptError(f"{name} is not the vector index that the manifest describes")
    return Segment(index, entry.kind, entry.nprobe, entry.nlist, rows)


def _map_index(path: Path) -> Any:
    _limit_allocations()
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


def _kind_of(index: Any) -> str:
    """Return the kind of a FAISS index; "" for one that no segment has."""
    if isinstance(index, faiss.IndexIDMap2):
        return FLAT
    if isinstance(index, faiss.IndexIVFScalarQuantizer):
        return SQ8
    rotated = isinstance(index, _faiss.IndexPreTransform) and index.chain.size() == 1
    return RABITQ if rotated and isinstance(ivf_of(index), faiss.IndexIVFRaBitQ) else ""


def _parameters(kind: str, nprobe: int, selector: Any) -> Any:
    if kind == SQ8:
        return _faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)
    probed = _faiss.IVFRaBitQSearchParameters(sel=selector, nprobe=nprobe, qb=_QUERY_BITS)
    return _faiss.SearchParametersPreTransform(index_params=probed)


@functools.cache
def _limit_allocations() -> None:
    """Limit what a file can make FAISS allocate: the default is 1 TB, without a limit on loops."""
    faiss.set_deserialization_vector_byte_limit(1 << 32)
    faiss.set_deserialization_loop_limit(1 << 20)
