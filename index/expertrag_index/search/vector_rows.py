"""The vectors of a segment by row: what FAISS cannot return by key, or only rounded.

    magic b"ERVROWS1" | number of vectors N, uint64 | dimension D, uint64
    keys: int64 [N], ascending
    vectors: float16 [N, D], of unit length before they were rounded

All numbers are little-endian. Merges read the file mapped; a search computes the cosines of its
candidates as it reads them.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from expertrag_index.cosines import load_cosines
from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.ascending_keys import candidate_places
from expertrag_index.types import FloatArray, KeyArray

_MAGIC = b"ERVROWS1"
_HEADER_BYTES = 24
BATCH = 8192
"""Vectors that are read together: a million of 384 dimensions are 1.5 GB."""


HalfArray = NDArray[np.float16]


class VectorSource(Protocol):
    """Vectors of chunks by their keys."""

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        """Return the vectors [N, D] of chunks as they are stored, in the order of ``keys``."""
        ...


class VectorRows:
    """The vectors of one segment. Immutable and thread-safe."""

    def __init__(self, file: BinaryIO, name: str, dimension: int) -> None:
        """Map a file whose checksum has been verified; the caller may close it.

        :param name: of the file, for error messages.
        :raises StoreCorruptError: it holds vectors of another length, or is not a file of vectors.
        """
        size = os.fstat(file.fileno()).st_size
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        header = np.frombuffer(mapped, "<u8", 3) if size >= _HEADER_BYTES else np.zeros(3)
        count = int(header[1])
        expected = _HEADER_BYTES + count * (8 + 2 * dimension)
        if mapped[:8] != _MAGIC or int(header[2]) != dimension or size != expected:
            raise StoreCorruptError(f"{name} does not hold vectors of {dimension} dimensions")
        self._name = name
        self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._start = _HEADER_BYTES + 8 * count
        self._keys: KeyArray = np.frombuffer(mapped, "<i8", count, _HEADER_BYTES)
        values = np.frombuffer(mapped, "<f2", count * dimension, self._start)
        self._vectors: HalfArray = values.reshape(count, dimension)

    @property
    def keys(self) -> KeyArray:
        """Keys of the chunks, ascending."""
        return self._keys

    def rows(self, keys: KeyArray) -> NDArray[np.intp]:
        """Return the rows [N] of keys, -1 for a key that has none."""
        places = candidate_places(keys, self._keys)
        return np.where(self._keys[places] == keys, places, -1)

    def at(self, rows: NDArray[np.intp]) -> HalfArray:
        """Return the vectors [N, D] of rows."""
        return self._vectors[rows]

    def cosines(
        self, rows: NDArray[np.intp], query: FloatArray, *, ask_first: bool = False
    ) -> FloatArray:
        """Compute the cosines [N] of rows with a query [D] of unit length.

        :param ask_first: ask the system for all rows before the first is read; see ``read_ahead``.
        :raises StoreCorruptError: the file has become shorter.
        """
        read = load_cosines()
        if read is None:
            result: FloatArray = normalise(self.at(rows)) @ query
            return result
        out = np.empty(len(rows), np.float32)
        failed = read(self._file, self._start, ask_first, rows, query, out)
        if failed > 0:
            raise OSError(failed, os.strerror(failed), self._name)
        if failed:
            raise StoreCorruptError(f"{self._name} has become shorter")
        return out

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        """Return the vectors [N, D] of chunks that the segment holds, in the order of ``keys``."""
        return self.at(self.rows(keys))


def write_rows(path: Path, keys: KeyArray, source: VectorSource, dimension: int) -> None:
    """Write the vectors of chunks; ``keys`` are ascending."""
    with path.open("wb") as file:
        file.write(_MAGIC + np.array([len(keys), dimension], "<u8").tobytes())
        file.write(keys.astype("<i8").tobytes())
        for start in range(0, len(keys), BATCH):
            file.write(source.read_vectors(keys[start : start + BATCH]).astype("<f2").tobytes())


def vectors_of(source: VectorSource, keys: KeyArray) -> FloatArray:
    """Return the vectors [N, D] of chunks, normalised again after the rounding to fp16."""
    return normalise(source.read_vectors(keys))


def iter_vectors(source: VectorSource, keys: KeyArray) -> Iterator[tuple[KeyArray, FloatArray]]:
    """Yield keys with their normalised vectors, ``BATCH`` at a time."""
    for start in range(0, len(keys), BATCH):
        part = keys[start : start + BATCH]
        yield part, vectors_of(source, part)


def normalise(stored: HalfArray) -> FloatArray:
    """Convert stored vectors [N, D] to float32 of unit length."""
    vectors = np.empty(stored.shape, np.float32)
    for start in range(0, len(stored), BATCH):  # the norms need as much memory as the vectors
        part = stored[start : start + BATCH].astype(np.float32)
        np.divide(part, np.linalg.norm(part, axis=1, keepdims=True), vectors[start : start + BATCH])
    return vectors
