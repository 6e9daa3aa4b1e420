"""Vectors by row: what was stored is read back to the bit, and other files are refused."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest

from expertrag_index.errors import StoreCorruptError
from expertrag_index.types import KeyArray
from expertrag_index.vector_rows import (
    BATCH,
    HalfArray,
    VectorRows,
    iter_vectors,
    normalised,
    vectors_of,
    write_rows,
)

DIMENSION = 6


class Drawn:
    """Random vectors by key."""

    def stored(self, keys: KeyArray) -> HalfArray:
        rows = [np.random.default_rng(int(key)).standard_normal(DIMENSION) for key in keys]
        vectors = np.stack(rows)
        unit: HalfArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit.astype(np.float16)


def mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def opened(path: Path, dimension: int = DIMENSION) -> VectorRows:
    return VectorRows(mapped(path), path.name, dimension)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_rows(tmp_path / "a.rows", np.array([2, 3, 70], np.int64), Drawn(), DIMENSION)
    return tmp_path / "a.rows"


def test_vectors_are_read_by_key(file: Path) -> None:
    rows = opened(file)
    assert rows.keys.tolist() == [2, 3, 70]
    wanted = np.array([70, 2], np.int64)
    assert np.array_equal(rows.stored(wanted), Drawn().stored(wanted))
    assert np.array_equal(vectors_of(rows, wanted), normalised(Drawn().stored(wanted)))
    assert np.linalg.norm(vectors_of(rows, wanted), axis=1) == pytest.approx(1, abs=1e-6)
    assert rows.rows(np.array([1, 2, 69, 70, 71], np.int64)).tolist() == [-1, 0, -1, 2, -1]


def test_batches_hold_all(tmp_path: Path) -> None:
    keys = np.arange(BATCH + 3, dtype=np.int64) * 2
    write_rows(tmp_path / "b.rows", keys, Drawn(), DIMENSION)
    batches = list(iter_vectors(opened(tmp_path / "b.rows"), keys))
    assert [len(part) for part, _ in batches] == [BATCH, 3]
    assert np.array_equal(np.concatenate([part for part, _ in batches]), keys)


def test_another_file_is_refused(file: Path) -> None:
    data = file.read_bytes()
    for changed in (data[:-1], data + b"\0", b"X" + data[1:], data[:20], data[:8] + b"\xff" * 16):
        file.unlink()
        file.write_bytes(changed)
        with pytest.raises(StoreCorruptError, match="does not hold vectors of 6 dimensions"):
            opened(file)
    file.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="does not hold vectors of 7 dimensions"):
        opened(file, 7)
