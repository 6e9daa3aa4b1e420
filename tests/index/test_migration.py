"""Migrating a store to another embedder while readers use it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import wait_until

from expertrag_index.build import IndexWriter
from expertrag_index.errors import DocumentError, EmbedderMismatchError, StoreNotFoundError
from expertrag_index.index import Index
from expertrag_index.layout import Layout
from expertrag_index.types import Document
from expertrag_index.verify import verify

COUNT = 60
SCRIPT = Path(__file__).with_name("store_helper.py")
Corpus = Callable[[int], list[Document]]


@pytest.fixture
def plain(tmp_path: Path, make_mixed_corpus: Corpus, make_embedder: Any) -> Path:
    """A store of a plain embedder."""
    with IndexWriter.open(tmp_path / "store", make_embedder()) as writer:
        writer.build(make_mixed_corpus(COUNT))
    return tmp_path / "store"


@pytest.fixture
def built(tmp_path: Path, make_mixed_corpus: Corpus, make_experts: Any) -> Path:
    """The reference for a migrated store: one that was built with the new embedder."""
    with IndexWriter.open(tmp_path / "built", make_experts()) as writer:
        writer.build(make_mixed_corpus(COUNT))
    return tmp_path / "built"


def test_a_migrated_store_equals_one_built_with_the_embedder(
    plain: Path, built: Path, make_experts: Any, make_mixed_corpus: Corpus, contents: Any
) -> None:
    embedder = make_experts()
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


def test_only_a_migration_may_use_another_embedder(plain: Path, make_experts: Any) -> None:
    embedder = make_experts()
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


def test_there_must_be_something_to_migrate(tmp_path: Path, make_experts: Any) -> None:
    with (
        IndexWriter.open(tmp_path / "new", make_experts(), migrating=True) as writer,
        pytest.raises(StoreNotFoundError, match="index build"),
    ):
        writer.migrate()


def _stored_vectors(store: Path) -> int:
    """Count the vectors that a migration has committed so far."""
    with closing(sqlite3.connect(f"file:{Layout(store).database}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT COUNT(*) FROM vectors").fetchone()
    return int(count)


def test_readers_continue_and_a_killed_migration_embeds_nothing_twice(
    plain: Path, built: Path, make_experts: Any, make_embedder: Any, contents: Any
) -> None:
    old = make_embedder()
    query = old.encode_query("word5 finance-word")
    with Index.open(plain) as reader:
        expected = reader.search_dense(query, 50), reader.search_lexical("word5 plants", 50)
        before = _stored_vectors(plain)
        child = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None and child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write(f"migrate {plain} {COUNT} 0.02\n")
        child.stdin.flush()
        wait_until(lambda: _stored_vectors(plain) > before, timeout=30)  # 64 of 120
        assert child.poll() is None
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()
        assert (
            reader.search_dense(query, 50),
            reader.search_lexical("word5 plants", 50),
        ) == expected
        with Index.open(plain, embedder_fingerprint=old.fingerprint) as fresh:
            assert fresh.generation == 1
        embedder = make_experts()
        with IndexWriter.open(plain, embedder, migrating=True) as writer:
            report = writer.migrate()
        assert 0 < report.chunks_embedded < report.chunks
        assert (
            reader.search_dense(query, 50),
            reader.search_lexical("word5 plants", 50),
        ) == expected
    assert contents(plain) == contents(built)
    assert verify(plain).problems == ()


@pytest.mark.parametrize("moment", ["swap", "calibrate"])
def test_a_migration_killed_before_the_swap_leaves_the_old_store(
    plain: Path,
    make_experts: Any,
    make_embedder: Any,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
) -> None:
    class PowerCutError(Exception):
        pass

    def die(*_: object) -> Any:
        raise PowerCutError

    calibrate = die if moment == "calibrate" else None
    with monkeypatch.context() as patch:
        if moment == "swap":
            patch.setattr("expertrag_index.publish.write_current", die)
        with (
            IndexWriter.open(plain, make_experts(), migrating=True, calibrate=calibrate) as writer,
            pytest.raises(PowerCutError),
        ):
            writer.migrate()
    assert verify(plain).problems == ()  # the database names the old embedder again
    with IndexWriter.open(plain, make_embedder()) as writer:
        assert writer.add([Document("late", "Late.")]).generation == 2
    assert verify(plain).problems == ()


def test_no_document_is_lost_if_it_has_no_finite_vector(tmp_path: Path, make_embedder: Any) -> None:
    class Picky(make_embedder):  # type: ignore[misc]
        def encode_documents(self, texts: Any, domain: str | None = None) -> Any:
            vectors = super().encode_documents(texts, domain)
            vectors[["odd" in text for text in texts]] = float("nan")
            return vectors

    with IndexWriter.open(tmp_path / "s", make_embedder()) as writer:
        writer.build([Document("a", "fine"), Document("b", "odd"), Document("c", "good")])
    with (
        IndexWriter.open(tmp_path / "s", Picky(fingerprint="new"), migrating=True) as writer,
        pytest.raises(DocumentError, match=r"no finite vectors for 1 documents \('b'\)"),
    ):
        writer.migrate()
    assert verify(tmp_path / "s").problems == ()
    with IndexWriter.open(tmp_path / "s", make_embedder()) as writer:
        assert writer.delete(["b"]).generation == 2
    with IndexWriter.open(tmp_path / "s", Picky(fingerprint="new"), migrating=True) as writer:
        assert writer.migrate().changed == 2
    assert verify(tmp_path / "s").problems == ()


def test_a_build_after_a_migration_chunks_for_the_new_embedder(
    plain: Path, make_embedder: Any, make_mixed_corpus: Corpus
) -> None:
    short = make_embedder(fingerprint="short")
    short.max_tokens = 20
    with IndexWriter.open(plain, short, migrating=True) as writer:
        chunks = writer.migrate().chunks
        again = writer.build(make_mixed_corpus(COUNT))
    assert again.changed == COUNT
    assert again.chunks > chunks


def test_reports_chunks_too_long_for_the_new_embedder(plain: Path, make_embedder: Any) -> None:
    short = make_embedder(fingerprint="short")
    short.max_tokens = 20
    with IndexWriter.open(plain, short, migrating=True) as writer:
        (reported,) = writer.migrate().failures
    assert reported.notice
    assert "longer than the 20 tokens" in reported.reason
    assert "build the store again" in reported.cure
