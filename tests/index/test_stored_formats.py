"""Stores of earlier formats are upgraded by their next writer, and answer as they did."""

from __future__ import annotations

import tarfile
from contextlib import closing
from pathlib import Path

import pytest
from store_helper import HashingEmbedder, make_corpus, migrate

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import StoreFormatError
from expertrag_index.store.index import Index
from expertrag_index.store.opening import check_published
from expertrag_index.store.schema import connect_reader, connect_writer
from expertrag_index.types import ChunkHit
from expertrag_index.upkeep.backup import backup
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.verify import verify

ARCHIVES = sorted((Path(__file__).parents[1] / "data" / "stores").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "store"


def found(index: Index, hits: list[ChunkHit]) -> list[tuple[str, int, float]]:
    chunks = index.chunks([hit.key for hit in hits])
    return [
        (chunk.document_id, chunk.ordinal, round(hit.score, 3))
        for chunk, hit in zip(chunks, hits, strict=True)
    ]


def test_the_archives_are_small_and_of_every_kind() -> None:
    assert [path.name for path in ARCHIVES] == ["format-3-sealed.tar.xz", "format-3.tar.xz"]
    assert sum(path.stat().st_size for path in ARCHIVES) < 200_000


def test_it_says_how_to_upgrade_it(store: Path) -> None:
    with pytest.raises(StoreFormatError, match=r"earlier version: run 'expertrag index repair"):
        Index.open(store)
    with pytest.raises(StoreFormatError, match="index repair"):
        check_published(store)  # what a server asks before it loads a model
    report = verify(store)
    assert report.problems == ("the store was written by an earlier version",)
    assert report.repairable
    with closing(connect_reader(store / "store.db")) as connection:  # a check changes nothing
        assert connection.execute("SELECT count(*) FROM chunks_fts_docsize").fetchone()[0] > 0


def test_it_answers_as_it_did(store: Path, hashing: HashingEmbedder) -> None:
    assert verify(store, repair=True).problems == ()
    with Index.open(store) as index:
        assert (index.generation, index.degradation) == (4, "")
        assert (index.manifest.documents, index.size) == (11, 22)
        query = "replication edition1"
        assert found(index, index.search_lexical(query, 3, {"parity": "odd"})) == [
            ("doc1", 0, 1.464),  # 1.722 when chunks of older generations were counted
            ("doc7", 0, 1.464),
            ("doc3", 0, 0.802),
        ]
        vector = hashing.encode_query("replication number7")
        assert found(index, index.search_dense(vector, 5)) == [
            ("doc6", 1, 0.563),
            ("doc1", 1, 0.517),
            ("doc7", 0, 0.485),
            ("doc7", 1, 0.404),
            ("doc1", 0, 0.358),
        ]
        assert "edition1" in index.document_text("doc7")


def test_the_next_writer_upgrades_it(store: Path, hashing: HashingEmbedder) -> None:
    documents = make_corpus(12, version=1)
    with IndexWriter.open(store, hashing) as writer:
        assert writer.build(documents).added == 1
    with Index.open(store) as index:
        assert not index.manifest.is_outdated
    assert verify(store).problems == ()


def test_a_build_without_a_change_upgrades_it_too(store: Path, hashing: HashingEmbedder) -> None:
    with IndexWriter.open(store, hashing) as writer:
        report = writer.add([])
    assert (report.added, report.generation, report.chunks_embedded) == (0, 4, 0)
    assert verify(store).problems == ()


def test_an_upgrade_that_was_killed_is_done_again(store: Path) -> None:
    connect_writer(store / "store.db").close()  # the database is upgraded, and nothing else
    with pytest.raises(StoreFormatError, match="index repair"):
        Index.open(store)
    assert verify(store, repair=True).problems == ()
    Index.open(store).close()


def test_it_migrates_compacts_and_is_backed_up(store: Path, tmp_path: Path) -> None:
    assert migrate(store, HashingEmbedder(fingerprint="hashing-2")).changed == 11
    compact(store)
    assert backup(store, tmp_path / "copy").documents == 11
    assert verify(store).problems == ()
