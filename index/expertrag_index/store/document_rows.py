"""Writes the rows of documents and of their chunks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from expertrag_index.build.embedding import ChunkContent
from expertrag_index.store.rows import dump_metadata, row_digest, text_digest
from expertrag_index.types import Chunk, Document


class ChunkedDocument(NamedTuple):
    """A document, the expert of its partition, its chunks, and what is embedded of each.

    ``cut``: its digest with the chunker that split it.
    """

    document: Document
    expert: str
    chunks: Sequence[Chunk]
    contents: Sequence[ChunkContent]
    cut: bytes


def insert_documents(
    connection: sqlite3.Connection, generation: int, documents: Iterable[ChunkedDocument]
) -> range:
    """Insert documents and their chunks as part of a generation, in the caller's transaction.

    :return: the keys of the chunks.
    """
    rows: list[tuple[object, ...]] = []
    for each in documents:
        row = _insert_document(connection, generation, each)
        for chunk, content in zip(each.chunks, each.contents, strict=True):
            columns = (
                generation,
                row,
                chunk.ordinal,
                chunk.start,
                chunk.end,
                content.hash,
                each.expert,
                chunk.title,
                chunk.text,
            )
            rows.append((*columns, row_digest(*columns)))
    connection.executemany(
        """INSERT INTO chunks
        (added_in, document, ordinal, start, "end", content_hash, expert, title, text, checksum)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        rows,
    )
    if not rows:
        return range(0)
    (last,) = connection.execute("SELECT last_insert_rowid()").fetchone()
    return range(last - len(rows) + 1, last + 1)  # AUTOINCREMENT counts without gaps


def _insert_document(
    connection: sqlite3.Connection, generation: int, chunked: ChunkedDocument
) -> int:
    document = chunked.document
    columns = (
        generation,
        document.id,
        chunked.cut,
        text_digest(document.text),
        document.source,
        document.title,
        document.domain,
        dump_metadata(document),
    )
    cursor = connection.execute(
        """INSERT INTO documents
        (added_in, id, hash, text_hash, source, title, domain, metadata, checksum, text)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (*columns, row_digest(*columns), document.text),
    )
    return int(cursor.lastrowid or 0)
