"""Vectors by row: what was stored is read back to the bit, and other files are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from expertrag_index.errors import StoreCorruptError
from expertrag_index.search import vector_rows
from expertrag_index.search.vector_rows import (
    BATCH,
    HalfArray,
    VectorRows,
    iter_vectors,
    normalise,
    vectors_of,
    write_rows,
)
from expertrag_index.types import KeyArray

DIMENSION = 6


class Drawn:
    """Random vectors by key."""

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        rows = [np.random.default_rng(int(key)).standard_normal(DIMENSION) for key in keys]
        vectors = np.stack(rows)
        unit: HalfArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit.astype(np.float16)


def opened(path: Path, dimension: int = DIMENSION) -> VectorRows:
    with path.open("rb") as file:
        return VectorRows(file, path.name, dimension)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_rows(tmp_path / "a.rows", np.array([2, 3, 70], np.int64), Drawn(), DIMENSION)
    return tmp_path / "a.rows"


def test_vectors_are_read_by_key(file: Path) -> None:
    rows = opened(file)
    assert rows.keys.tolist() == [2, 3, 70]
    wanted = np.array([70, 2], np.int64)
    assert np.array_equal(rows.read_vectors(wanted), Drawn().read_vectors(wanted))
    assert np.array_equal(vectors_of(rows, wanted), normalise(Drawn().read_vectors(wanted)))
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


@pytest.mark.parametrize("ask_first", [False, True])
@pytest.mark.parametrize("dimension", [1, 6, 8, 29, 384])
def test_cosines_are_those_of_the_vectors(tmp_path: Path, dimension: int, ask_first: bool) -> None:
    rng = np.random.default_rng(dimension)
    held = rng.standard_normal((50, dimension)).astype(np.float16)
    held[3] *= np.float16(1e-7) / np.abs(held[3]).max()  # below the smallest normal number
    query = rng.standard_normal(dimension).astype(np.float32)
    query /= np.linalg.norm(query)
    file = written(tmp_path, held)
    wanted = np.array([49, 3, 0, 17, 3])
    rows = opened(file, dimension)
    found = rows.cosines(wanted, query, ask_first=ask_first)
    assert found == pytest.approx(normalise(held[wanted]) @ query, abs=2e-6)
    assert rows.cosines(wanted[:0], query).shape == (0,)


@pytest.mark.parametrize("bits", [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00])
def test_every_kind_of_half_is_read(tmp_path: Path, bits: int) -> None:
    held = np.array([[bits, 0x3C00, 0x3C00]], np.uint16).view(np.float16)
    file = written(tmp_path, held)
    query = np.array([1, 0, 0], np.float32)
    found = opened(file, 3).cosines(np.array([0]), query)
    exact = float(held[0, 0]) / np.linalg.norm(held[0].astype(np.float64))
    assert found[0] == pytest.approx(exact, rel=1e-6, abs=1e-12)


def test_a_shorter_file_is_damaged(tmp_path: Path) -> None:
    held = np.ones((2, DIMENSION), np.float16)
    file = written(tmp_path, held)
    rows = opened(file)
    with file.open("r+b") as cut:
        cut.truncate(file.stat().st_size - 1)
    query = np.ones(DIMENSION, np.float32)
    assert len(rows.cosines(np.array([0]), query)) == 1
    with pytest.raises(StoreCorruptError, match=r"vectors\.rows has become shorter"):
        rows.cosines(np.array([1]), query)


def test_without_the_compiled_module_numpy_computes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = np.random.default_rng(0).standard_normal((9, DIMENSION)).astype(np.float16)
    rows, query = opened(written(tmp_path, held)), np.ones(DIMENSION, np.float32)
    wanted = np.array([8, 2])
    compiled = rows.cosines(wanted, query)
    monkeypatch.setattr(vector_rows, "load_cosines", lambda: None)
    assert rows.cosines(wanted, query) == pytest.approx(compiled, abs=2e-6)


def written(folder: Path, held: HalfArray) -> Path:
    """Write vectors as they are, with the keys 0, 1, …"""

    class Held:
        def read_vectors(self, keys: KeyArray) -> HalfArray:
            return held[keys]

    write_rows(folder / "vectors.rows", np.arange(len(held)), Held(), held.shape[1])
    return folder / "vectors.rows"
