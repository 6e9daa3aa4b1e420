"""Segments of vectors: concurrent searches share calls of FAISS, and large ones are quantised."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest
from store_helper import HashingEmbedder, build, make_corpus

from expertrag_index.build.settings import WriterSettings
from expertrag_index.search import ivf, vectors
from expertrag_index.search.ivf import write_ivf
from expertrag_index.search.vector_rows import HalfArray, VectorRows, write_rows
from expertrag_index.search.vectors import Segment, build_flat, cosines, map_ivf
from expertrag_index.store.index import Index
from expertrag_index.types import FloatArray, KeyArray
from expertrag_index.upkeep.compact import compact

COUNT = 3000


class Clusters:
    """Vectors near one of thirty centres, and queries that are near them, too."""

    def __init__(self, dimension: int) -> None:
        rng = np.random.default_rng(dimension)
        centres = rng.standard_normal((30, dimension))
        near = centres[rng.integers(30, size=COUNT + 50)]
        found = near + 0.7 * rng.standard_normal(near.shape)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        self.held, self.queries = found[:COUNT].astype(np.float16), found[COUNT:].astype(np.float32)

    def read_vectors(self, keys: KeyArray) -> HalfArray:
        return self.held[keys // 2]

    def rows(self, folder: Path) -> VectorRows:
        dimension = self.held.shape[1]
        write_rows(folder / "v.rows", 2 * np.arange(COUNT), self, dimension)
        with (folder / "v.rows").open("rb") as file:
            return VectorRows(file, "v.rows", dimension)


def quantised_segment(folder: Path, rows: VectorRows, dimension: int) -> Segment:
    write_ivf(folder / "v.faiss", rows, dimension)
    return map_ivf(folder / "v.faiss", rows)


@pytest.mark.parametrize(
    ("dimension", "kind"), [(64, "ivf_sq8"), (256, "ivf_rabitq"), (384, "ivf_rabitq")]
)
def test_quantised_segments_find_what_exact_ones_find(
    tmp_path: Path, dimension: int, kind: str
) -> None:
    clusters = Clusters(dimension)
    rows = clusters.rows(tmp_path)
    exact = build_flat(rows, dimension)
    quantised = quantised_segment(tmp_path, rows, dimension)
    assert (quantised.kind, quantised.count) == (kind, COUNT)
    assert np.array_equal(np.sort(quantised.faiss_keys), rows.keys)
    every = Segment(quantised.index, kind, quantised.nlist, quantised.nlist, rows)
    found = 0
    for query in clusters.queries:
        wanted = set(exact.search(query, 10, None, COUNT).keys.tolist())
        hits = every.search(query, 10, None, COUNT)
        assert len(hits.keys) == 200
        best = hits.keys[np.argsort(-cosines([every], hits.keys, query))[:10]]
        found += len(wanted & set(best.tolist()))
    assert found >= 0.98 * 10 * len(clusters.queries)


@pytest.mark.parametrize("share", [0.5, 0.03])
@pytest.mark.parametrize("dimension", [64, 256])
def test_only_what_is_allowed_is_found(tmp_path: Path, dimension: int, share: float) -> None:
    clusters = Clusters(dimension)
    rows = clusters.rows(tmp_path)
    segment = quantised_segment(tmp_path, rows, dimension)
    allowed = rows.keys[np.random.default_rng(1).random(COUNT) < share]
    bits = np.zeros(2 * COUNT, np.uint8)
    bits[allowed] = 1
    bitmap = np.packbits(bits, bitorder="little")
    for query in clusters.queries[:5]:
        hits = segment.search(query, 40, bitmap, len(allowed))
        assert len(hits.keys) >= min(40, len(allowed))
        assert np.isin(hits.keys, allowed).all()


class Counting:
    """An exact index that counts the queries of each call; the first call waits to be let go."""

    def __init__(self, index: faiss.Index) -> None:
        self._index = index
        self.ntotal = index.ntotal
        self.calls: list[int] = []
        self.started, self.go = threading.Event(), threading.Event()

    def search(self, queries: FloatArray, k: int) -> tuple[FloatArray, KeyArray]:
        self.calls.append(len(queries))
        self.started.set()
        assert self.go.wait(30)
        scores, keys = self._index.search(queries, k)
        return scores, keys


def test_concurrent_searches_share_a_call(tmp_path: Path) -> None:
    clusters = Clusters(64)
    rows = clusters.rows(tmp_path)
    alone = build_flat(rows, 64)
    index = Counting(alone.index)
    segment = Segment(index, vectors.FLAT, 0, 0, rows)
    asked: Sequence[tuple[FloatArray, int]] = [
        (query, 1 + number) for number, query in enumerate(clusters.queries[:12])
    ]
    with ThreadPoolExecutor(len(asked)) as pool:
        futures = [pool.submit(segment.search, query, k, None, COUNT) for query, k in asked]
        index.started.wait(30)
        while len(segment.together._waiting) < len(asked) - 1:
            time.sleep(0.01)
        index.go.set()
        found = [future.result(30) for future in futures]
    assert index.calls == [1, len(asked) - 1]
    for (query, k), hits in zip(asked, found, strict=True):
        expected = alone.search(query, k, None, COUNT)
        assert hits.exact
        assert np.array_equal(hits.keys, expected.keys)
        assert hits.scores == pytest.approx(expected.scores, abs=1e-6)


def test_a_segment_is_freed_with_its_last_reference(tmp_path: Path) -> None:
    rows = Clusters(64).rows(tmp_path)
    index = Counting(build_flat(rows, 64).index)
    segment = Segment(index, vectors.FLAT, 0, 0, rows)
    known = weakref.ref(index)
    gc.disable()
    try:
        del index, segment
        assert known() is None
    finally:
        gc.enable()


def test_segments_of_earlier_builds_are_searched_until_a_compaction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder, settings = HashingEmbedder(384), WriterSettings(flat_limit=50)
    with monkeypatch.context() as earlier:
        earlier.setattr(ivf, "_FEWEST_BITS", 1_000)
        build(tmp_path / "s", embedder, make_corpus(120), settings=settings)
    query = embedder.encode_query("checkpoints word3")
    with Index.open(tmp_path / "s") as index:
        assert [entry.kind for entry in index.manifest.segments] == ["ivf_sq8"]
        before = index.search_dense(query, 5)
    compact(tmp_path / "s", settings=settings)
    with Index.open(tmp_path / "s") as index:
        assert [entry.kind for entry in index.manifest.segments] == ["ivf_rabitq"]
        assert index.search_dense(query, 5) == before
