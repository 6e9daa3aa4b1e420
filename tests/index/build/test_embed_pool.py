"""The executor of a writer: any pool gives the same store, and bounds what is in flight."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from store_helper import CORPUS, HashingEmbedder, build, contents, make_corpus

from expertrag_index.build.embed_pool import Packed, embed_packed
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import IndexStoreError
from expertrag_index.types import Document, DocumentEmbedder

LONG = [
    Document(f"d{n}", " ".join([*(f"number{n}word{i}" for i in range(50)), " " * 30_000]))
    for n in range(200)
]
"""More text than a run reads before it embeds."""

MOST = 6
SMALL = WriterSettings(embed_batch=8, commit_chunks=8)


class UnevenPool:
    """Embeds in three threads; every other batch takes long, so that they end out of order."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(3)
        self._begun = 0
        self.waiting: list[Future[Packed]] = []
        self.most = 0

    @property
    def ahead(self) -> int:
        return MOST if self._begun else 1  # workers may be counted when they have been started

    def submit(
        self, embedder: DocumentEmbedder, texts: Sequence[str], expert: str
    ) -> Future[Packed]:
        self._begun += 1
        future = self._threads.submit(self._embed, embedder, texts, expert, self._begun % 2 * 0.02)
        self.waiting = [each for each in self.waiting if not each.done()] + [future]
        self.most = max(self.most, len(self.waiting))
        return future

    def _embed(
        self, embedder: DocumentEmbedder, texts: Sequence[str], expert: str, delay_s: float
    ) -> Packed:
        time.sleep(delay_s)
        return embed_packed(embedder, texts, expert)


@pytest.fixture
def pool() -> Iterator[UnevenPool]:
    made = UnevenPool()
    yield made
    made._threads.shutdown()


def test_the_store_is_that_of_a_local_build(tmp_path: Path, pool: UnevenPool) -> None:
    for name, chosen in (("pool", pool), ("local", None)):
        build(tmp_path / name, HashingEmbedder(), CORPUS, settings=SMALL, pool=chosen)
        with IndexWriter.open(tmp_path / name, HashingEmbedder(), pool=chosen) as writer:
            writer.add(make_corpus(60, version=1))
    assert contents(tmp_path / "pool") == contents(tmp_path / "local")
    assert stored_order(tmp_path / "pool") == stored_order(tmp_path / "local")
    # a document is two chunks, so that eight chunks are one batch
    assert 2 < pool.most <= MOST


@pytest.mark.parametrize("error", [OSError("no device"), KeyboardInterrupt()])
def test_an_end_keeps_what_is_made_and_waits_for_what_runs(
    tmp_path: Path, pool: UnevenPool, error: BaseException
) -> None:
    def documents() -> Iterator[Document]:
        yield from LONG
        assert pool.waiting
        raise error

    embedder, again = HashingEmbedder(), HashingEmbedder()
    with pytest.raises(type(error)):
        build(tmp_path / "store", embedder, documents(), settings=SMALL, pool=pool)
    assert [future for future in pool.waiting if not future.done()] == []
    report = build(tmp_path / "store", again, LONG, settings=SMALL)
    assert len(embedder.encoded) + len(again.encoded) == report.chunks
    assert not set(embedder.encoded) & set(again.encoded)


def test_a_wrong_shape_is_an_error(tmp_path: Path, pool: UnevenPool) -> None:
    embedder = HashingEmbedder()
    embedder.encode_documents = lambda texts, domain=None: np.ones((1, 3), np.float32)  # type: ignore[method-assign]
    with pytest.raises(IndexStoreError, match=r"shape \(1, 3\) instead of"):
        build(tmp_path / "store", embedder, CORPUS, pool=pool)


def stored_order(store: Path) -> list[str]:
    with closing(sqlite3.connect(store / "store.db")) as connection:
        query = "SELECT d.id FROM chunks c JOIN documents d ON d.row = c.document ORDER BY c.key"
        return [row[0] for row in connection.execute(query)]
