"""Migrating a store to another embedder while readers use it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import wait_until
from store_helper import (
    Child,
    ExpertEmbedder,
    HashingEmbedder,
    PowerCutError,
    build,
    contents,
    make_mixed_corpus,
    migrate,
)

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import DocumentError, EmbedderMismatchError, StoreNotFoundError
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

COUNT = 60


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A store of a plain embedder."""
    build(tmp_path / "store", HashingEmbedder(), make_mixed_corpus(COUNT))
    return tmp_path / "store"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The reference for a migrated store: one that was built with the new embedder."""
    build(tmp_path / "built", ExpertEmbedder(), make_mixed_corpus(COUNT))
    return tmp_path / "built"


def test_a_migrated_store_equals_one_built_with_the_embedder(plain: Path, built: Path) -> None:
    embedder = ExpertEmbedder()
    with IndexWriter.open(plain, embedder, migrating=True) as writer:
        report = writer.migrate()
        assert (report.generation, report.changed, report.failures) == (2, COUNT, ())
        assert report.chunks_embedded == report.chunks
        again = writer.migrate()
        assert (again.generation, again.unchanged, again.chunks_embedded) == (2, COUNT, 0)
        assert writer.build(make_mixed_corpus(COUNT)).unchanged == COUNT
    assert contents(plain) == contents(built)
    assert verify(plain).problems == ()
    with Index.open(plain, embedder_fingerprint=embedder.fingerprint) as index:
        assert index.dimension == 33
        vectors = {name: embedder.encode_query("word5", name) for name in index.partitions()}
        assert len(index.search_dense(vectors, 1000)) == index.size
        assert len(index.search_lexical("word5 plants", 1000)) > 0


def test_only_a_migration_may_use_another_embedder(plain: Path) -> None:
    embedder = ExpertEmbedder()
    cure = f"index migrate {plain} --embedder"
    with pytest.raises(EmbedderMismatchError, match=cure):
        IndexWriter.open(plain, embedder)
    with pytest.raises(EmbedderMismatchError, match=cure):
        Index.open(plain, embedder_fingerprint=embedder.fingerprint)
    with IndexWriter.open(plain, embedder, migrating=True) as writer:
        for change in (writer.add, writer.build):
            with pytest.raises(EmbedderMismatchError, match=cure):
                change([])
        with pytest.raises(EmbedderMismatchError, match=cure):
            writer.delete(["a"])
    with Index.open(plain) as index:
        assert index.generation == 1


def test_there_must_be_something_to_migrate(tmp_path: Path) -> None:
    with (
        IndexWriter.open(tmp_path / "new", ExpertEmbedder(), migrating=True) as writer,
        pytest.raises(StoreNotFoundError, match="index build"),
    ):
        writer.migrate()


def _stored_vectors(store: Path) -> int:
    """Count the vectors that a migration has committed so far."""
    with closing(sqlite3.connect(f"file:{Layout(store).database}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT COUNT(*) FROM vectors").fetchone()
    return int(count)


def test_readers_continue_and_a_killed_migration_embeds_nothing_twice(
    plain: Path, built: Path
) -> None:
    old = HashingEmbedder()
    query = old.encode_query("word5 finance-word")
    with Index.open(plain) as reader:

        def seen() -> object:
            return reader.search_dense(query, 50), reader.search_lexical("word5 plants", 50)

        expected = seen()
        before = _stored_vectors(plain)
        child = Child()
        child.start("migrate", plain, COUNT, 0.02)
        wait_until(lambda: _stored_vectors(plain) > before, timeout=30)  # 64 of 120
        assert child.runs
        assert child.kill() < 0
        child.close()
        assert seen() == expected
        with Index.open(plain, embedder_fingerprint=old.fingerprint) as fresh:
            assert fresh.generation == 1
        embedder = ExpertEmbedder()
        report = migrate(plain, embedder)
        assert 0 < report.chunks_embedded < report.chunks
        assert seen() == expected
    assert contents(plain) == contents(built)
    assert verify(plain).problems == ()


@pytest.mark.parametrize("moment", ["swap", "calibrate"])
def test_a_migration_killed_before_the_swap_leaves_the_old_store(
    plain: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def die(*_: object) -> Any:
        raise PowerCutError

    calibrate = die if moment == "calibrate" else None
    with monkeypatch.context() as patch:
        if moment == "swap":
            patch.setattr("expertrag_index.build.publish.write_current", die)
        with (
            IndexWriter.open(
                plain, ExpertEmbedder(), migrating=True, calibrate=calibrate
            ) as writer,
            pytest.raises(PowerCutError),
        ):
            writer.migrate()
    assert verify(plain).problems == ()  # the database names the old embedder again
    with IndexWriter.open(plain, HashingEmbedder()) as writer:
        assert writer.add([Document("late", "Late.")]).generation == 2
    assert verify(plain).problems == ()


def test_no_document_is_lost_if_it_has_no_finite_vector(tmp_path: Path) -> None:
    class Picky(HashingEmbedder):
        def encode_documents(self, texts: Any, domain: str | None = None) -> Any:
            vectors = super().encode_documents(texts, domain)
            vectors[["odd" in text for text in texts]] = float("nan")
            return vectors

    build(
        tmp_path / "s",
        HashingEmbedder(),
        [Document("a", "fine"), Document("b", "odd"), Document("c", "good")],
    )
    with (
        IndexWriter.open(tmp_path / "s", Picky(fingerprint="new"), migrating=True) as writer,
        pytest.raises(DocumentError, match=r"no finite vectors for 1 documents \('b'\)"),
    ):
        writer.migrate()
    assert verify(tmp_path / "s").problems == ()
    with IndexWriter.open(tmp_path / "s", HashingEmbedder()) as writer:
        assert writer.delete(["b"]).generation == 2
    assert migrate(tmp_path / "s", Picky(fingerprint="new")).changed == 2
    assert verify(tmp_path / "s").problems == ()


def test_chunks_too_long_for_the_new_embedder_are_reported_and_cut_by_a_build(plain: Path) -> None:
    short = HashingEmbedder(fingerprint="short")
    short.max_tokens = 20
    with IndexWriter.open(plain, short, migrating=True) as writer:
        report = writer.migrate()
        again = writer.build(make_mixed_corpus(COUNT))
    assert (again.changed, again.failures) == (COUNT, ())
    assert again.chunks > report.chunks
    (reported,) = report.failures
    assert reported.notice
    assert "longer than the 20 tokens" in reported.reason
    assert "build the store again" in reported.cure


@pytest.mark.parametrize(
    "after", [HashingEmbedder(48, "hashing-2"), HashingEmbedder(fingerprint="hashing-2")]
)
def test_a_repair_keeps_the_embedder_of_a_migrated_store(
    plain: Path, after: HashingEmbedder
) -> None:
    """The generation before has another one; with that, all queries would be encoded wrongly."""
    documents = make_mixed_corpus(COUNT)
    build(plain, HashingEmbedder(), documents, calibrate=lambda index: {"of": "hashing-1"})
    migrate(plain, after)
    Layout(plain).manifest(3).write_bytes(b"damaged")
    assert verify(plain, repair=True).problems == ()
    with Index.open(plain) as index:
        assert index.manifest.embedder.fingerprint == "hashing-2"
        assert index.manifest.calibration == {}, "another embedder's"
        assert index.dimension == after.dimension
    assert build(plain, after, documents).unchanged == COUNT


def test_a_repair_after_a_killed_migration(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database then names the embedder of the migration, which made none of its vectors."""
    build(plain, HashingEmbedder(), make_mixed_corpus(COUNT - 9))

    def cut(*_: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patched:
        patched.setattr("expertrag_index.build.writer.publish", cut)
        with pytest.raises(PowerCutError):
            migrate(plain, HashingEmbedder(48, "hashing-2"))
    Layout(plain).manifest(2).write_bytes(b"damaged")
    assert verify(plain, repair=True).problems == ()
    with Index.open(plain) as index:
        assert index.manifest.embedder.fingerprint == HashingEmbedder().fingerprint
        assert index.manifest.documents == COUNT - 9
