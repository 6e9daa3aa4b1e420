"""Builds an IVF segment in its file, so that the memory needed hardly grows with the vectors.

FAISS keeps the lists of an index in memory while it fills them: 64 bytes a vector. So the vectors
are added in parts, whose lists go to a temporary file. The file of the segment has the lists of all
parts, one part after the other, in FAISS's format. It is the same, byte for byte, as if the parts
had been added to one index in memory.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import faiss
import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import IndexStoreError
from expertrag_index.search.vector_rows import (
    BATCH,
    HalfArray,
    VectorRows,
    iter_vectors,
    normalise,
)
from expertrag_index.types import FloatArray

SQ8 = "ivf_sq8"
"""Lists of codes of a byte for each dimension."""
RABITQ = "ivf_rabitq"
"""Lists of codes of a bit for each dimension of the rotated vector (RaBitQ; Gao & Long 2024)."""
IVF = (SQ8, RABITQ)

_SAMPLES_PER_LIST = 40  # FAISS requires at least 39; with 20, real lists differ more in size
_CODED = 10_000  # vectors whose ranges SQ8's codes cover
_ITERATIONS = 6  # with 10, the default, recall is within .01: training is most of a large build
_SEED = 1234
_FEWEST_BITS = 256  # dimensions; with a bit for each of fewer, neighbours cannot be told apart
_PART = 1 << 17  # vectors, of segments that have less than 64 times as many
_ID_BYTES = 8


def write_ivf(
    path: Path,
    rows: VectorRows,
    dimension: int,
    *,
    threads: int | None = None,
    part: int = _PART,
) -> None:
    """Write the FAISS index of 4√n lists, trained on a sample.

    :param threads: number of FAISS threads; None for the number that searches use.
    :param part: vectors whose lists are in memory together.
    """
    count = len(rows.keys)
    part = max(part, count >> 6)
    with (
        _threads(threads),
        tempfile.TemporaryFile(dir=path.parent) as lists,
        path.open("wb") as file,
    ):
        index = _train(rows, dimension, path.parent)
        ivf = ivf_of(index)
        parts = []
        for start in range(0, count, part):
            for keys, vectors in iter_vectors(rows, rows.keys[start : start + part]):
                index.add_with_ids(vectors, keys)
            parts.append(_write_part(lists, ivf.invlists))
            index.reset()
        index.ntotal = ivf.ntotal = count
        file.write(_head(index, ivf.invlists, np.sum(parts, axis=0)))
        _write_lists(file, lists, parts, ivf.invlists.code_size)


def ivf_of(index: Any) -> Any:
    """Return the index with the inverted lists, which may be behind a rotation."""
    return faiss.downcast_index(faiss.extract_index_ivf(index))


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Limit FAISS to ``count`` threads for calls from this thread."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(count or before)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _train(rows: VectorRows, dimension: int, folder: Path) -> Any:
    """Return an index without vectors."""
    count = len(rows.keys)
    nlist = min(count, round(4 * math.sqrt(count)))
    kind = f"RR{dimension},IVF{nlist},RaBitQ" if _has_bits(dimension) else f"IVF{nlist},SQ8"
    index: Any = faiss.index_factory(dimension, kind, faiss.METRIC_INNER_PRODUCT)
    centroids = _centroids(rows, dimension, nlist, folder)
    if _has_bits(dimension):
        rotation: Any = faiss.downcast_VectorTransform(index.chain.at(0))
        rotation.init(_SEED)
        centroids = rotation.apply(centroids)
    ivf_of(index).quantizer.add(centroids)
    index.train(normalise(rows.at(_sample(count, _CODED))))
    return index


def _has_bits(dimension: int) -> bool:
    """Whether vectors of so many dimensions are coded by RaBitQ."""
    return dimension >= _FEWEST_BITS


def _sample(count: int, size: int) -> NDArray[np.intp]:
    """Choose at most ``size`` of ``count`` rows, in ascending order."""
    chosen = np.random.default_rng(0).choice(count, min(count, size), replace=False)
    return np.sort(chosen)


def _centroids(rows: VectorRows, dimension: int, nlist: int, folder: Path) -> FloatArray:
    """Cluster a sample of vectors, which is in a file, and float32 a few at a time: [nlist, D]."""
    clustering: Any = faiss.Clustering(dimension, nlist)
    clustering.seed = _SEED
    clustering.niter = _ITERATIONS
    clustering.spherical = True
    clustering.min_points_per_centroid = 1
    clustering.max_points_per_centroid = _SAMPLES_PER_LIST
    clustering.decode_block_size = BATCH
    half = faiss.ScalarQuantizer.QT_fp16
    codec = faiss.IndexScalarQuantizer(dimension, half, faiss.METRIC_INNER_PRODUCT)
    codec.is_trained = True  # there is nothing to train in halves
    chosen = _sample(len(rows.keys), nlist * _SAMPLES_PER_LIST)
    with tempfile.TemporaryFile(dir=folder) as file:
        sample: HalfArray = np.memmap(file, np.float16, "w+", shape=(len(chosen), dimension))
        for start in range(0, len(chosen), BATCH):
            sample[start : start + BATCH] = rows.at(chosen[start : start + BATCH])
        codes = sample.view(np.uint8).reshape(len(sample), -1)
        clustering.train_encoded(codes, codec, faiss.IndexFlatIP(dimension))
    return faiss.vector_to_array(clustering.centroids).reshape(nlist, dimension)


def _write_part(file: BinaryIO, lists: Any) -> NDArray[np.uint64]:
    """Append the codes and the ids of each list; return the sizes of the lists."""
    sizes = np.array([lists.list_size(number) for number in range(lists.nlist)], "<u8")
    for number, size in enumerate(sizes.tolist()):
        if size:
            file.write(faiss.rev_swig_ptr(lists.get_codes(number), size * lists.code_size).data)
            file.write(faiss.rev_swig_ptr(lists.get_ids(number), size).data)
    file.flush()
    return sizes


def _head(index: Any, lists: Any, sizes: NDArray[np.uint64]) -> bytes:
    """Return what comes before the lists in the file of an index, whose own lists are empty.

    FAISS's lists in memory ("ilar") begin with their number, the bytes of a code, and how the sizes
    are written. All of them are written ("full"), or, if most are zero, only the others ("sprs").
    """
    counted = b"ilar" + np.array([lists.nlist, lists.code_size], "<u8").tobytes()
    empty = counted + b"sprs" + bytes(8)
    written = faiss.serialize_index(index).tobytes()
    if not written.endswith(empty):
        raise IndexStoreError(
            f"FAISS {faiss.__version__} writes indexes in a format that is not known: "
            "install the version that constraints.txt names"
        )
    full = b"full" + np.array([lists.nlist], "<u8").tobytes() + sizes.astype("<u8").tobytes()
    return written.removesuffix(empty) + counted + full


def _write_lists(
    file: BinaryIO, lists: BinaryIO, parts: Sequence[NDArray[np.uint64]], code_bytes: int
) -> None:
    """Write of each list the codes of all parts, and then the ids."""
    ends = np.cumsum([0, *(int(sizes.sum()) for sizes in parts)]) * (code_bytes + _ID_BYTES)
    places = ends[:-1].tolist()
    for sizes in np.stack(parts, axis=1).tolist():
        ids = []
        for part, size in enumerate(sizes):
            entry = os.pread(lists.fileno(), size * (code_bytes + _ID_BYTES), places[part])
            places[part] += len(entry)
            file.write(entry[: size * code_bytes])
            ids.append(entry[size * code_bytes :])
        file.writelines(ids)
