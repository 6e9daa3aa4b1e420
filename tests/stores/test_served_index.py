"""The served generation follows what this or another process publishes."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from store_helper import build, migrate

from expertrag.api.errors import Cancelled, NotFound
from expertrag.api.types import DocumentInput
from expertrag.stores.served_index import ServedIndex, View
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import IndexStoreError
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_index.upkeep.backup import backup, restore

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder


def document(identifier: str, text: str, source: str = "docs/a.txt") -> Document:
    return Document(identifier, text, source=source)


@pytest.fixture
def store(tmp_path: Path, embedder: SentenceTransformerEmbedder) -> Path:
    path = tmp_path / "store"
    build(path, embedder, [document("a", "The cafeteria opens at nine.")])
    return path


@pytest.fixture
def served(store: Path, embedder: SentenceTransformerEmbedder) -> Iterator[ServedIndex]:
    with closing(ServedIndex(store, embedder)) as index:
        yield index


def test_a_request_keeps_its_generation(
    served: ServedIndex, store: Path, embedder: SentenceTransformerEmbedder
) -> None:
    with served.lease() as view:
        with IndexWriter.open(store, embedder) as writer:
            writer.add([document("b", "The library opens at ten.", "docs/b.txt")])
        assert (served.stats().generation, served.stats().documents) == (2, 2)
        assert view.index.generation == 1
        assert [hit.key for hit in view.index.search_lexical("library", 5)] == []
        assert view.index.document_text("a") == "The cafeteria opens at nine."


def test_a_generation_that_cannot_be_searched_is_closed(
    served: ServedIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Index] = []

    def failing(_embedder: object, index: Index) -> View:
        opened.append(index)
        raise MemoryError

    monkeypatch.setattr(View, "of", failing)
    with pytest.raises(MemoryError):
        served.reload()
    with pytest.raises(IndexStoreError, match="closed"):
        opened[0].search_lexical("cafeteria", 1)
    with served.lease() as view:
        assert view.index.search_lexical("cafeteria", 1)


def test_callers_that_see_the_same_share_a_part(served: ServedIndex) -> None:
    served.upsert(
        [
            DocumentInput("b", "The library opens at ten.", labels=["hr"]),
            DocumentInput("c", "The archive opens at eleven.", labels=["legal"]),
        ]
    )
    with served.lease(frozenset({"hr"})) as first:
        assert first.index.manifest.documents == 2
        for number in range(40):  # as many callers, each with a label of its own
            with served.lease(frozenset({"hr", f"user:{number}"})) as view:
                assert view is first
    with served.lease(frozenset({"user:1"})) as nothing, served.lease(frozenset()) as view:
        assert view is nothing
        assert view.index.manifest.documents == 1


def test_callers_with_other_labels_do_not_wait(served: ServedIndex) -> None:
    served.upsert([DocumentInput("b", "The library opens at ten.", labels=["hr"])])
    with served.lease(frozenset()) as view, served.lease() as whole:
        (part,) = whole._parts.values()
        part.making.acquire()  # another thread makes what a caller without labels sees
        try:
            with served.lease(frozenset({"hr"})) as other:
                assert other.index.manifest.documents == 2
        finally:
            part.making.release()
        assert view.index.manifest.documents == 1


def test_follows_a_restored_backup(served: ServedIndex, store: Path, tmp_path: Path) -> None:
    backup(store, tmp_path / "copy")
    served.upsert([DocumentInput("b", "The library opens at ten.")])
    with served.lease() as view:
        restore(tmp_path / "copy", store, force=True)
        assert (served.stats().generation, served.stats().documents) == (3, 1)
        assert view.index.document_text("b") == "The library opens at ten."
    assert served.upsert([DocumentInput("c", "The garden opens at eight.")]).generation == 4
    assert served.stats().documents == 2


def test_keeps_serving_when_the_new_generation_cannot_be_read(
    served: ServedIndex, store: Path
) -> None:
    (store / "CURRENT").write_bytes(b"nonsense\n")
    assert served.stats().generation == 1


def test_the_first_document_of_a_repeated_id_is_stored(served: ServedIndex) -> None:
    report = served.upsert([DocumentInput("q", "Quokkas are calm."), DocumentInput("q", "Second.")])
    assert report.added == 1
    assert [bool(item.error) for item in report.items] == [False, True]
    with served.lease() as view:
        assert view.index.document_text("q") == "Quokkas are calm."


def test_an_upsert_has_chunks_as_long_as_those_of_the_store(
    tmp_path: Path, embedder: SentenceTransformerEmbedder
) -> None:
    long = "Quokkas are calm, and they live on an island. " * 40
    settings = WriterSettings(chunk_tokens=64)
    build(tmp_path / "short", embedder, [document("a", "Quokkas.")], settings=settings)
    with closing(ServedIndex(tmp_path / "short", embedder)) as index:
        index.upsert([DocumentInput("q", long)])
        with index.lease() as view:
            sizes = embedder.count_tokens([chunk.text for _, chunk in view.index.sample_chunks(99)])
    assert len(sizes) > 8
    assert 50 < max(sizes) <= 64


def test_an_upsert_keeps_a_document_of_another_source(served: ServedIndex) -> None:
    report = served.upsert([DocumentInput("a", "Something else.")])
    assert (report.added, report.changed) == (0, 0)
    assert "docs/a.txt, which was kept" in report.items[0].error


@pytest.fixture
def other(embedder: SentenceTransformerEmbedder) -> SentenceTransformerEmbedder:
    """An embedder that makes the same vectors under another name."""
    return type(embedder)("other", embedder.model, "another fingerprint")


def test_follows_a_store_migrated_to_another_embedder(
    store: Path, embedder: SentenceTransformerEmbedder, other: SentenceTransformerEmbedder
) -> None:
    loaded = []

    def load() -> SentenceTransformerEmbedder:
        loaded.append(other.name)
        return other

    with closing(ServedIndex(store, embedder, load)) as served:
        with served.lease() as view:
            assert migrate(store, other).chunks_embedded == 1
            assert served.stats().embedder == "other"
            assert view.embedder is embedder  # a running request keeps its view
            assert view.searcher.search("cafeteria", k=1).generation == 1
        with served.lease() as view:
            assert view.embedder is other
            assert view.searcher.search("cafeteria", k=1).generation == 2
        assert served.upsert([DocumentInput("b", "The library opens at ten.")]).added == 1
        assert (served.stats().generation, loaded) == (3, ["other"])


def test_an_upsert_reloads_first(
    store: Path, embedder: SentenceTransformerEmbedder, other: SentenceTransformerEmbedder
) -> None:
    with closing(ServedIndex(store, embedder, lambda: other)) as served:
        migrate(store, other)
        assert served.upsert([DocumentInput("b", "The library opens at ten.")]).generation == 3


def test_an_upsert_waits_while_a_request_loads_the_other_embedder(
    store: Path, embedder: SentenceTransformerEmbedder, other: SentenceTransformerEmbedder
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def load() -> SentenceTransformerEmbedder:
        begun.set()
        go_on.wait(10)
        return other

    with closing(ServedIndex(store, embedder, load)) as served:
        migrate(store, other)
        with ThreadPoolExecutor(2) as pool:
            asking = pool.submit(served.stats)
            assert begun.wait(10)
            writing = pool.submit(served.upsert, [DocumentInput("b", "The library opens at ten.")])
            go_on.set()
            assert writing.result(10).added == 1
            assert asking.result(10).generation >= 2


@pytest.mark.parametrize("error", [NotFound("no embedder folder"), RuntimeError("out of memory")])
def test_keeps_serving_when_the_other_embedder_cannot_be_loaded(
    store: Path,
    embedder: SentenceTransformerEmbedder,
    other: SentenceTransformerEmbedder,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loads = [error]

    def load() -> SentenceTransformerEmbedder:
        if loads:
            raise loads.pop()
        return other

    with closing(ServedIndex(store, embedder, load)) as served:
        migrate(store, other)
        assert served.stats().generation == 1
        with served.lease() as view:
            assert view.searcher.search("cafeteria", k=1).passages
        assert served.stats().generation == 1  # not retried at every request
        monkeypatch.setattr(served._swap, "_retry_at", 0.0)
        assert served.stats().generation == 2


def test_a_replaced_generation_is_freed_at_once(served: ServedIndex) -> None:
    gc.collect()
    gc.disable()  # without its help: a server under load would hold many generations
    try:
        for number in range(3):
            with served.lease() as view:
                view.searcher.search("cafeteria", k=1)
                replaced = weakref.ref(view.index)
            del view
            served.upsert([DocumentInput(f"new {number}", "The gym opens at ten.")])
            assert replaced() is None
    finally:
        gc.enable()


@pytest.fixture
def wasteful(served: ServedIndex) -> ServedIndex:
    """A served store of ten documents of which four were deleted."""
    served.upsert([DocumentInput(f"old {n}", f"Room {n} is closed.") for n in range(9)])
    served.delete([f"old {n}" for n in range(4)])
    return served


def test_a_store_is_compacted_when_much_is_deleted(wasteful: ServedIndex) -> None:
    with wasteful.lease() as view:
        report = wasteful.compact_if_wasteful(0.0)
        assert view.index.generation == 3  # a running search keeps what it has
    assert report is not None and report.generation == 4
    assert (wasteful.stats().generation, wasteful.stats().documents) == (4, 6)
    with wasteful.lease() as view:
        assert {hit.key for hit in view.index.search_lexical("closed", 10)}
    assert wasteful.compact_if_wasteful(0.0) is None  # nothing is left to do


def test_a_compaction_shrinks_the_files(wasteful: ServedIndex, store: Path) -> None:
    assert wasteful.compact_if_wasteful(0.0) is not None
    assert (store / "store.db-wal").stat().st_size == 0
    assert b"Room 0 is closed." not in (store / "store.db").read_bytes()


def test_a_store_is_not_compacted_while_it_changes(wasteful: ServedIndex) -> None:
    assert wasteful.compact_if_wasteful(3_600.0) is None
    assert wasteful.stats().generation == 3


def test_a_store_is_not_compacted_for_little(served: ServedIndex) -> None:
    served.upsert([DocumentInput(f"old {n}", f"Room {n} is closed.") for n in range(9)])
    served.delete(["old 0"])
    assert served.compact_if_wasteful(0.0) is None


def test_a_compaction_waits_for_other_writers(
    wasteful: ServedIndex, store: Path, embedder: SentenceTransformerEmbedder
) -> None:
    with IndexWriter.open(store, embedder):
        assert wasteful.compact_if_wasteful(0.0) is None
    assert wasteful.compact_if_wasteful(0.0) is not None


def test_a_compaction_that_fails_is_not_tried_again_at_once(wasteful: ServedIndex) -> None:
    def stop() -> None:
        raise Cancelled("the server stops")

    with pytest.raises(Cancelled):
        wasteful.compact_if_wasteful(0.0, stop)
    assert wasteful.compact_if_wasteful(0.0) is None
    assert wasteful.stats().documents == 6
    wasteful.delete([f"old {n}" for n in range(4, 8)])
    assert wasteful.compact_if_wasteful(0.0) is not None
