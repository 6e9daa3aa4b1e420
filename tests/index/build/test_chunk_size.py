"""How long the chunks of a store are is decided by its first build, and kept by every writer."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from store_helper import HashingEmbedder, contents, migrate

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import ChunkSizeMismatchError
from expertrag_index.store.index import Index
from expertrag_index.types import BuildReport, Document
from expertrag_index.upkeep.backup import backup, restore
from expertrag_index.upkeep.compact import compact
from expertrag_index.upkeep.verify import verify

EARLIER = Path(__file__).parents[2] / "data" / "stores" / "format-3.tar.xz"


class LongReader(HashingEmbedder):
    """Reads texts of thousands of words."""

    def __init__(self, fingerprint: str = "hashing-1", max_tokens: int = 8192) -> None:
        super().__init__(fingerprint=fingerprint)
        self.max_tokens = max_tokens


def long_document(name: str) -> Document:
    return Document(name, " ".join(f"Words {name} {n} follow here." for n in range(300)))


def add(
    store: Path, name: str, chunk_tokens: int | None = None, embedder: HashingEmbedder | None = None
) -> BuildReport:
    settings = WriterSettings(chunk_tokens=chunk_tokens)
    with IndexWriter.open(store, embedder or LongReader(), settings=settings) as writer:
        return writer.add([long_document(name)])


def longest(store: Path, name: str) -> int:
    """Tokens of the longest chunk of a document."""
    _, chunks, _ = contents(store)
    return max(
        len(text.split()) + 2 for identifier, _, _, _, _, text, *_ in chunks if identifier == name
    )


def recorded(store: Path) -> int | None:
    with Index.open(store) as index:
        return index.manifest.chunk_tokens


def test_a_new_store_has_chunks_of_256_tokens_or_what_its_embedder_reads(tmp_path: Path) -> None:
    for store, reads, expected in (("long", 8192, 256), ("short", 64, 64)):
        add(tmp_path / store, "a", embedder=LongReader(max_tokens=reads))
        assert recorded(tmp_path / store) == expected
        assert expected - 7 < longest(tmp_path / store, "a") <= expected


def test_later_writers_keep_what_the_first_one_chose(tmp_path: Path) -> None:
    store = tmp_path / "store"
    add(store, "a", chunk_tokens=100)
    add(store, "b")  # an upsert, a sync: without settings
    add(store, "c", chunk_tokens=100)
    compact(store)
    backup(store, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "restored")
    (store / "generations" / "5" / "manifest.json").unlink(missing_ok=True)
    assert verify(store, repair=True).problems == ()
    for each in (store, tmp_path / "restored"):
        assert add(each, "a").unchanged == 1
        add(each, "d")
        assert recorded(each) == 100
        assert {longest(each, name) > 93 for name in "abcd"} == {True}
        assert max(longest(each, name) for name in "abcd") <= 100


def test_another_length_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    add(store, "a", chunk_tokens=100)
    before = contents(store)
    with pytest.raises(ChunkSizeMismatchError, match=r"up to 100 tokens, not 200: leave --chunk-"):
        add(store, "b", chunk_tokens=200)
    assert contents(store) == before
    assert add(store, "b").added == 1


def test_a_store_of_an_earlier_version_keeps_the_length_of_its_embedder(tmp_path: Path) -> None:
    with tarfile.open(EARLIER) as archive:
        archive.extractall(tmp_path, filter="data")
    store = tmp_path / "store"
    assert verify(store, repair=True).problems == ()
    assert recorded(store) is None
    embedder = LongReader(max_tokens=1024)  # not the 64 of new stores
    with pytest.raises(ChunkSizeMismatchError, match="up to 1,024 tokens, not 256"):
        add(store, "a", chunk_tokens=256, embedder=embedder)
    add(store, "a", embedder=embedder)
    assert recorded(store) == 1024
    assert 1000 < longest(store, "a") <= 1024


@pytest.mark.parametrize(("reads", "expected"), [(8192, 100), (64, 64)])
def test_a_migrated_store_keeps_its_length_if_the_new_embedder_reads_it(
    tmp_path: Path, reads: int, expected: int
) -> None:
    store = tmp_path / "store"
    add(store, "a", chunk_tokens=100)
    other = LongReader("hashing-2", reads)
    migrate(store, other)
    assert longest(store, "a") > 93  # its chunks stay
    add(store, "b", embedder=other)
    assert recorded(store) == expected
    assert longest(store, "b") <= expected
