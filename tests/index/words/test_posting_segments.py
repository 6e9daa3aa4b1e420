"""The postings of a generation: small updates write small files, and damage is repaired."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from store_helper import HashingEmbedder, make_corpus

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import dumps
from expertrag_index.types import Document
from expertrag_index.upkeep.verify import verify

SETTINGS = WriterSettings(small=10, max_segments=4)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with IndexWriter.open(tmp_path / "s", HashingEmbedder(), settings=SETTINGS) as writer:
        writer.build(make_corpus(60))
    return tmp_path / "s"


def counts(store: Path) -> list[int]:
    with Index.open(store) as index:
        return [entry.count for entry in index.manifest.postings]


def write(store: Path, *added: Document, deleted: tuple[str, ...] = ()) -> None:
    with IndexWriter.open(store, HashingEmbedder(), settings=SETTINGS) as writer:
        if added:
            writer.add(added)
        if deleted:
            writer.delete(deleted)


def test_a_small_update_writes_a_small_segment(store: Path) -> None:
    assert counts(store) == [120]
    write(store, Document("a", "An island."))
    assert counts(store) == [120, 1]
    write(store, Document("b", "An islet."))
    assert counts(store) == [120, 2]  # merged with those of its size
    with Index.open(store) as index:
        (hit,) = index.search_lexical("islet", 5)
        assert index.chunks([hit.key])[0].document_id == "b"


def test_deleted_chunks_are_found_no_more_and_dropped_by_a_merge(store: Path) -> None:
    write(store, deleted=("doc1", "doc2"))
    assert counts(store) == [120]  # nothing is written
    with Index.open(store) as index:
        assert index.search_lexical("number1", 5) == []
        assert index.term_statistics("number1")[0].document_frequency == 0
    write(store, deleted=tuple(f"doc{number}" for number in range(3, 40)))
    assert counts(store) == [42]  # a quarter is deleted
    assert verify(store).problems == ()


def test_a_damaged_segment_is_made_again_when_it_is_merged(store: Path) -> None:
    with Index.open(store) as index:
        (entry,) = index.manifest.postings
    path = store / "segments" / entry.entry.file
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:-9])
    write(store, deleted=tuple(f"doc{number}" for number in range(30)))
    assert all("in generation 1, kept as" in problem for problem in verify(store).problems)
    assert counts(store) == [60]


def test_other_words_than_those_of_the_chunks_are_noticed(store: Path, tmp_path: Path) -> None:
    """A whole segment of other texts, under its own checksum."""
    other = tmp_path / "other"
    with IndexWriter.open(other, HashingEmbedder(), settings=SETTINGS) as writer:
        writer.build(make_corpus(60, version=1))
    with Index.open(store) as ours, Index.open(other) as theirs:
        manifest = dataclasses.replace(ours.manifest, postings=theirs.manifest.postings)
        (entry,) = theirs.manifest.postings
    shutil.copy(other / "segments" / entry.entry.file, store / "segments")
    Layout(store).manifest(1).write_bytes(dumps(manifest))
    assert verify(store).problems == ("the postings do not match the chunks",)
    assert verify(store, repair=True).problems == ()
