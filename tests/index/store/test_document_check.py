"""Documents are compared with their checksums once, before their metadata is searched."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_helper import HashingEmbedder, change_database, make_corpus

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import StoreCorruptError
from expertrag_index.store.document_check import DocumentCheck
from expertrag_index.store.index import Index
from expertrag_index.types import Document

ODD = {"parity": "odd"}
CHANGED = "UPDATE documents SET metadata = '{}' WHERE id = 'doc3'"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    with IndexWriter.open(tmp_path / "s", HashingEmbedder()) as writer:
        writer.build(make_corpus(6))
    return tmp_path / "s"


def test_what_was_compared_is_handed_over(store: Path) -> None:
    with Index.open(store) as first:
        assert first.open_parts.checked == 0
        assert first.search_lexical("word3", 5)
        assert first.open_parts.checked == 0  # without a filter nothing reads metadata
        expected = first.search_lexical("word3", 5, ODD)
        assert first.open_parts.checked == 6
        with IndexWriter.open(store, HashingEmbedder()) as writer:
            writer.add([Document("late", "word3.", metadata={"parity": "even"})])
        change_database(store, CHANGED)
        with Index.open(store, reuse=first.open_parts) as second:
            assert len(second.search_lexical("word3", 5, {"parity": "even"}))
            assert second.open_parts.checked == 7
    with Index.open(store) as fresh, pytest.raises(StoreCorruptError, match="document row"):
        fresh.search_lexical("word3", 5, ODD)
    assert expected


def test_a_new_document_is_compared(store: Path) -> None:
    with Index.open(store) as first:
        first.search_lexical("word3", 5, ODD)
        with IndexWriter.open(store, HashingEmbedder()) as writer:
            writer.add([Document("late", "word3.", metadata={"parity": "even"})])
        change_database(store, "UPDATE documents SET metadata = '{}' WHERE id = 'late'")
        with Index.open(store, reuse=first.open_parts) as second:
            with pytest.raises(StoreCorruptError, match="document row"):
                second.search_lexical("word3", 5, ODD)
            with pytest.raises(StoreCorruptError, match="document row"):
                second.search_lexical("word3", 5, {"parity": "even"})  # not passed over


def test_labels_are_compared_first(store: Path) -> None:
    with IndexWriter.open(store, HashingEmbedder()) as writer:
        writer.add([Document("secret", "word3.", labels=("board",))])
    change_database(store, "UPDATE documents SET metadata = '{}' WHERE id = 'secret'")
    with Index.open(store) as index:
        for read in (lambda: index.restrict(["staff"]), index.labels):
            with pytest.raises(StoreCorruptError, match="document row"):
                read()


def test_nothing_is_compared_twice(store: Path) -> None:
    check = DocumentCheck()
    with Index.open(store) as index, index._reading() as connection:
        check.ensure(connection, index.generation)
        assert check.last_row == 6
    change_database(store, CHANGED)
    with Index.open(store) as index, index._reading() as connection:
        check.ensure(connection, index.generation)
