from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from store_helper import CORPUS, HashingEmbedder, PowerCutError, build

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import (
    EmbedderMismatchError,
    IndexStoreError,
    StoreLockedError,
    StoreNotFoundError,
    TooManyRemovalsError,
)
from expertrag_index.store.current import write_current
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.types import Document, LoadFailure
from expertrag_index.upkeep.removals import refuse_removals
from expertrag_index.upkeep.verify import verify


def test_build_add_and_delete_reports(tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"
    with IndexWriter.open(store, hashing) as writer:
        first = writer.build(CORPUS)
        assert (first.generation, first.added, first.chunks_embedded) == (1, 60, first.chunks)
        same = writer.build(CORPUS)
        assert (same.generation, same.unchanged, same.chunks_embedded) == (1, 60, 0)
        changed = replace(CORPUS[3], text="Rewritten altogether.")
        second = writer.build([changed, *CORPUS[4:], Document("new", "Something new.")])
        assert (second.added, second.changed, second.removed) == (1, 1, 3)
        assert (second.unchanged, second.chunks_embedded) == (56, 2)
        third = writer.add([replace(CORPUS[0])])
        assert (third.generation, third.added, third.removed) == (3, 1, 0)
        fourth = writer.delete(["new", "nobody"])
        assert (fourth.removed, fourth.failures[0].document_id) == (1, "nobody")
        assert writer.delete(["nobody"]).generation == 4
    assert verify(store).problems == ()
    with Index.open(store) as index:
        assert index.manifest.documents == 58
        assert index.manifest.domains == {"database": 38}
        assert index.manifest.fields == {"long": "bool", "number": "int", "parity": "str"}
        assert index.document_text("doc3") == "Rewritten altogether."


def test_removals_are_checked_before_anything_changes(tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"
    calls = []
    with IndexWriter.open(store, hashing) as writer:
        writer.build(CORPUS, (), refuse_removals)  # nothing to remove
        writer.build(CORPUS, (), refuse_removals)
        hashing.encoded.clear()
        failures: list[LoadFailure] = []

        def read() -> Iterator[Document]:
            yield from [Document("new", "Something new."), *CORPUS[:20]]
            failures.append(LoadFailure(CORPUS[59].source, "damaged", "repair it"))  # stays

        with pytest.raises(
            TooManyRemovalsError, match=r"39 of 60 documents would be deleted: noth"
        ):
            writer.build(read(), failures, refuse_removals)
        assert hashing.encoded == []
        assert writer.build(CORPUS).unchanged == 60
        writer.build(CORPUS[1:], (), lambda *numbers: calls.append(numbers))
    assert calls == [(1, 60)]
    assert verify(store).problems == ()


def test_a_large_budget_keeps_documents_whole(tmp_path: Path, hashing: Any) -> None:
    settings = WriterSettings(chunk_tokens=1_000_000)
    with IndexWriter.open(tmp_path / "store", hashing, settings=settings) as writer:
        whole = writer.build(CORPUS)
        assert whole.chunks == whole.added == 60
        assert writer.build(CORPUS).unchanged == 60
    assert build(tmp_path / "cut", hashing, CORPUS).chunks > 60


def test_documents_of_failed_files_are_kept(tmp_path: Path, hashing: Any) -> None:
    failures: list[LoadFailure] = []

    def load() -> Iterator[Document]:
        yield from CORPUS[10:]
        failures.append(LoadFailure("/notes/checkpoints", "no permission", "chmod"))
        failures.append(LoadFailure("elsewhere", "bad record", "fix it", "doc1"))

    with IndexWriter.open(tmp_path / "store", hashing) as writer:
        writer.build(CORPUS)
        report = writer.build(load(), failures)
    # of documents 0 to 9, those of checkpoints are 0, 3, 6, 9; doc1 failed by its id
    assert report.removed == 5
    assert report.failures == tuple(failures)


def test_bad_documents_become_failures_and_the_rest_is_stored(tmp_path: Path, hashing: Any) -> None:
    bad = [
        Document("", "no id"),
        replace(CORPUS[0], source="/notes/copy.txt"),
        Document("empty", " \n"),
        Document("nan", "this is poison to the model"),
        Document("surrogate", "lone \ud800"),
        Document("nul", "a\0b"),
        Document("infinite", "fine", metadata={"x": float("inf")}),
        Document("listed", "fine", metadata={"x": [[1]]}),  # type: ignore[list-item] # a caller's
    ]
    with IndexWriter.open(tmp_path / "store", hashing) as writer:
        report = writer.build([*CORPUS, *bad])
        assert report.added == 60
        assert len(report.failures) == len(bad)
        duplicate = next(item for item in report.failures if item.document_id == "doc0")
        assert duplicate.source == "/notes/copy.txt"
        assert CORPUS[0].source in duplicate.reason
        worse = writer.build([replace(CORPUS[0], text="now poison"), *CORPUS[1:]])
        assert worse.unchanged == 59
        assert worse.generation == 1
    with Index.open(tmp_path / "store") as index:
        assert index.document_text("doc0") == CORPUS[0].text
    assert verify(tmp_path / "store").problems == ()


def test_a_build_of_nothing_is_an_empty_store(tmp_path: Path, hashing: Any) -> None:
    assert build(tmp_path / "store", hashing, []).generation == 1
    with Index.open(tmp_path / "store") as index:
        query = hashing.encode_query("anything")
        assert index.size == index.scan_cost() == 0
        assert index.search_dense(query, 5) == index.search_lexical("anything", 5) == []
        assert index.best_similarity(query) == -1.0
        assert index.sample_chunks(3) == []
    assert verify(tmp_path / "store").problems == ()


def test_a_killed_build_embeds_nothing_twice(tmp_path: Path, hashing: Any) -> None:
    def dying() -> Iterator[Document]:
        yield from CORPUS[:40]
        raise PowerCutError

    settings = WriterSettings(embed_batch=16, commit_chunks=16)
    with (
        pytest.raises(PowerCutError),
        IndexWriter.open(tmp_path / "store", hashing, settings=settings) as writer,
    ):
        writer.build(dying())
    again = HashingEmbedder()
    report = build(tmp_path / "store", again, CORPUS, settings=settings)
    assert report.added == 60
    assert not set(hashing.encoded) & set(again.encoded)
    assert len(hashing.encoded) + len(again.encoded) == report.chunks


@pytest.mark.parametrize(("generation", "moment"), [(1, "swap"), (2, "swap"), (2, "calibrate")])
def test_a_build_killed_before_the_swap_publishes_nothing(
    tmp_path: Path, hashing: Any, monkeypatch: pytest.MonkeyPatch, generation: int, moment: str
) -> None:
    def swap(layout: Layout, number: int) -> None:
        if number == generation:
            raise PowerCutError
        write_current(layout, number)

    def fail(_candidate: Index) -> dict[str, Any]:
        raise PowerCutError

    store = tmp_path / "store"
    if generation == 2:
        build(store, hashing, CORPUS[:30])
    with (
        monkeypatch.context() as patch,
        pytest.raises(PowerCutError),
        IndexWriter.open(
            store, hashing, calibrate=fail if moment == "calibrate" else None
        ) as writer,
    ):
        if moment == "swap":
            patch.setattr("expertrag_index.build.publish.write_current", swap)
        writer.build(CORPUS)
    if generation == 1:
        with pytest.raises(StoreNotFoundError):
            Index.open(store)
    else:
        with Index.open(store) as index:
            assert (index.generation, index.degradation, index.manifest.documents) == (1, "", 30)
    assert build(store, hashing, CORPUS).generation == generation
    assert verify(store).problems == ()


def test_calibration_is_measured_on_the_candidate_and_kept_in_the_manifest(
    tmp_path: Path, hashing: Any
) -> None:
    seen = []

    def calibrate(candidate: Index) -> dict[str, Any]:
        seen.append((candidate.generation, candidate.size))
        assert candidate.search_lexical("number7", 1)
        return {"weights": [0.25, 0.5], "size": candidate.size}

    store = tmp_path / "store"
    build(store, hashing, CORPUS)
    stages = []
    with IndexWriter.open(
        store, hashing, calibrate=calibrate, progress=lambda *call: stages.append(call)
    ) as writer:
        report = writer.build(CORPUS)  # unchanged, but never calibrated
        assert writer.build(CORPUS).generation == report.generation == 2
    assert seen == [(2, report.chunks)]
    counted = [stage for stage, done, _ in stages if done == 1]
    assert counted == ["read", "write", "calibrate", "read"]
    with Index.open(store) as index:
        assert index.manifest.calibration == {"weights": [0.25, 0.5], "size": report.chunks}


def test_embedding_shows_how_much_of_the_text_is_done(tmp_path: Path, hashing: Any) -> None:
    stages: list[tuple[str, int, int | None]] = []
    with IndexWriter.open(
        tmp_path / "store", hashing, progress=lambda *call: stages.append(call)
    ) as writer:
        writer.build(CORPUS)
    size = sum(len(document.text.encode()) for document in CORPUS)
    done = [done for stage, done, total in stages if stage == "embed" and total == size]
    assert len(done) > 2
    assert done == sorted(done)
    assert (done[0] < size / 2, done[-1]) == (True, size)
    names = [stage for stage, _, _ in stages]
    assert names.index("embed") > max(i for i, name in enumerate(names) if name == "read")


def test_a_writer_waits_for_another(tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"

    def add() -> int:
        settings = WriterSettings(lock_wait_s=30)
        with IndexWriter.open(store, hashing, settings=settings) as writer:
            return writer.add(CORPUS[3:4], []).generation

    with ThreadPoolExecutor(1) as pool, IndexWriter.open(store, hashing) as first:
        first.build(CORPUS[:3])
        second = pool.submit(add)
        with pytest.raises(TimeoutError):
            second.result(0.2)
        first.close()
        assert second.result(30) == 2


def test_only_one_writer_and_the_same_embedder_may_write(tmp_path: Path, hashing: Any) -> None:
    store = tmp_path / "store"
    with IndexWriter.open(store, hashing) as writer:
        writer.build(CORPUS[:3])
        with pytest.raises(StoreLockedError, match="LOCK"):
            IndexWriter.open(store, hashing)
        with pytest.raises(StoreLockedError):
            verify(store)
    with pytest.raises(EmbedderMismatchError, match="hashing"):
        IndexWriter.open(store, HashingEmbedder(fingerprint="another"))
    with pytest.raises(EmbedderMismatchError, match="hashing"):
        Index.open(store, embedder_fingerprint="another")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(IndexStoreError, match="not a store"):
        IndexWriter.open(tmp_path / "notes", hashing)
    with pytest.raises(IndexStoreError, match="is a file"):
        IndexWriter.open(tmp_path / "notes" / "a.txt", hashing)


def test_rejects_vectors_of_another_shape(tmp_path: Path, hashing: Any) -> None:
    hashing.dimension = 16
    hashing.encode_documents = lambda texts, domain=None: np.ones((len(texts), 8), np.float32)
    with (
        IndexWriter.open(tmp_path / "store", hashing) as writer,
        pytest.raises(IndexStoreError, match="shape"),
    ):
        writer.build(CORPUS)


def test_a_writer_drops_a_generation_whose_rows_a_killed_one_has_dropped(
    tmp_path: Path, hashing: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could not be opened, and nothing compared its files with their checksums."""

    def die(layout: Layout, number: int) -> None:
        raise PowerCutError

    store = tmp_path / "store"
    build(store, hashing, CORPUS[:30])
    build(store, hashing, CORPUS[:40])
    assert Layout(store).generation_numbers() == [2, 1]
    with monkeypatch.context() as patch, pytest.raises(PowerCutError):
        patch.setattr("expertrag_index.build.publish.write_current", die)
        build(store, hashing, CORPUS[:20])
    assert verify(store).problems == ()
    assert Layout(store).generation_numbers() == [2]
    assert build(store, hashing, CORPUS[:20]).generation == 3
