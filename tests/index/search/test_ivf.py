"""IVF segments that are built part by part are those that FAISS fills in memory."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from expertrag_index.errors import IndexStoreError
from expertrag_index.search.ivf import ivf_of, write_ivf
from expertrag_index.search.vector_rows import HalfArray, VectorRows, vectors_of, write_rows
from expertrag_index.types import KeyArray

COUNT = 3000


class Random:
    """Vectors without an order."""

    def __init__(self, dimension: int) -> None:
        drawn = np.random.default_rng(dimension).standard_normal((COUNT, dimension))
        self._held = drawn.astype(np.float16)

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        return self._held[keys // 3]


def rows_of(folder: Path, dimension: int) -> VectorRows:
    write_rows(folder / "v.rows", 3 * np.arange(COUNT), Random(dimension), dimension)
    with (folder / "v.rows").open("rb") as file:
        return VectorRows(file, "v.rows", dimension)


@pytest.mark.parametrize("dimension", [64, 256])
@pytest.mark.parametrize("part", [COUNT, 1000, 700])
def test_a_file_made_in_parts_is_the_one_that_faiss_writes(
    tmp_path: Path, dimension: int, part: int
) -> None:
    rows = rows_of(tmp_path, dimension)
    write_ivf(tmp_path / "parts", rows, dimension, part=part)
    index = faiss.read_index(str(tmp_path / "parts"))
    assert index.ntotal == ivf_of(index).ntotal == COUNT
    index.reset()
    for start in range(0, COUNT, part):
        keys = rows.keys[start : start + part]
        index.add_with_ids(vectors_of(rows, keys), keys)
    faiss.write_index(index, str(tmp_path / "whole"))
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    # the lists and the sample were in files without names
    assert {path.name for path in tmp_path.iterdir()} == {"v.rows", "parts", "whole"}


def test_threads_are_given_for_the_build_alone(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, 64)
    before = faiss.omp_get_max_threads()
    write_ivf(tmp_path / "parts", rows, 64, threads=before + 1)
    assert faiss.omp_get_max_threads() == before


def test_another_format_of_faiss_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(tmp_path, 64)
    monkeypatch.setattr(faiss, "serialize_index", lambda index: np.zeros(64, np.uint8))
    with pytest.raises(IndexStoreError, match=r"constraints\.txt"):
        write_ivf(tmp_path / "parts", rows, 64)
