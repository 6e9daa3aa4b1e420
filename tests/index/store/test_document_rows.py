"""Rows of documents and chunks, with the keys and checksums that readers rely on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from expertrag_index.build.embedding import ChunkContent
from expertrag_index.store.document_rows import ChunkedDocument, insert_documents
from expertrag_index.store.rows import row_digest
from expertrag_index.store.schema import connect_writer
from expertrag_index.types import Chunk, Document


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(tmp_path / "store.db")) as connection:
        yield connection


def chunked(name: str, *texts: str) -> ChunkedDocument:
    chunks = [Chunk(name, n, text, 0, len(text)) for n, text in enumerate(texts)]
    contents = [ChunkContent(text.encode(), "general", text) for text in texts]
    return ChunkedDocument(Document(name, " ".join(texts)), "general", chunks, contents, b"cut")


def test_keys_follow_each_other_over_documents(connection: sqlite3.Connection) -> None:
    assert insert_documents(connection, 1, [chunked("a", "one", "two"), chunked("b", "three")]) == (
        range(1, 4)
    )
    assert insert_documents(connection, 2, [chunked("c", "four")]) == range(4, 5)
    stored = connection.execute(
        """SELECT c.key, d.id, c.text, c.added_in
        FROM chunks c JOIN documents d ON d.row = c.document ORDER BY c.key"""
    )
    assert stored.fetchall() == [
        (1, "a", "one", 1),
        (2, "a", "two", 1),
        (3, "b", "three", 1),
        (4, "c", "four", 2),
    ]


def test_documents_without_chunks_have_no_keys(connection: sqlite3.Connection) -> None:
    assert insert_documents(connection, 1, [chunked("a")]) == range(0)
    assert connection.execute("SELECT id FROM documents").fetchall() == [("a",)]
    assert insert_documents(connection, 1, []) == range(0)


def test_a_checksum_covers_the_other_columns(connection: sqlite3.Connection) -> None:
    insert_documents(connection, 1, [chunked("a", "one")])
    *columns, checksum = connection.execute(
        """SELECT added_in, document, ordinal, start, "end", content_hash, expert, title, text,
        checksum FROM chunks"""
    ).fetchone()
    assert checksum == row_digest(*columns)
    assert checksum != row_digest(*columns[:-1], "other")
