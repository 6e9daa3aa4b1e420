"""Stores that earlier versions wrote open, answer as they did, and are upgraded by their writer."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from store_helper import HashingEmbedder, make_corpus, migrate

from expertrag_index.backup import backup
from expertrag_index.build import IndexWriter
from expertrag_index.compact import compact
from expertrag_index.index import Index
from expertrag_index.schema import UNSEALED, connect_reader, read_seal
from expertrag_index.types import ChunkHit
from expertrag_index.verify import verify

ARCHIVES = sorted((Path(__file__).parents[1] / "data" / "stores").glob("*.tar.xz"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path, filter="data")
    assert is_sealed(tmp_path / "store") == ("sealed" in request.param.name)
    return tmp_path / "store"


def found(index: Index, hits: list[ChunkHit]) -> list[tuple[str, int, float]]:
    chunks = index.chunks([hit.key for hit in hits])
    return [
        (chunk.document_id, chunk.ordinal, round(hit.score, 3))
        for chunk, hit in zip(chunks, hits, strict=True)
    ]


def is_sealed(store: Path) -> bool:
    connection = connect_reader(store / "store.db")
    try:
        return read_seal(connection)[0] != UNSEALED
    finally:
        connection.close()


def test_the_archives_are_small_and_of_every_kind() -> None:
    assert [path.name for path in ARCHIVES] == ["format-3-sealed.tar.xz", "format-3.tar.xz"]
    assert sum(path.stat().st_size for path in ARCHIVES) < 200_000


def test_it_answers_as_it_did(store: Path, hashing: HashingEmbedder) -> None:
    with Index.open(store) as index:
        assert (index.generation, index.degraded) == (3, "")
        assert (index.manifest.documents, index.size) == (11, 22)
        query = "replication edition1"
        assert found(index, index.search_lexical(query, 3, {"parity": "odd"})) == [
            ("doc1", 0, 1.722),
            ("doc7", 0, 1.722),
            ("doc3", 0, 0.901),
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


def test_it_is_sealed_by_the_first_writer(store: Path, hashing: HashingEmbedder) -> None:
    assert verify(store).problems == ()
    assert is_sealed(store)
    with IndexWriter.open(store, hashing) as writer:
        assert writer.build(make_corpus(12, version=1)).added == 1
    assert verify(store).problems == ()


def test_it_migrates_compacts_and_is_backed_up(store: Path, tmp_path: Path) -> None:
    assert migrate(store, HashingEmbedder(fingerprint="hashing-2")).changed == 11
    compact(store)
    assert backup(store, tmp_path / "copy").documents == 11
    assert verify(store).problems == ()
