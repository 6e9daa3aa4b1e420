"""Lists the documents of a generation, and the chunks of one: what it holds, without a search."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from expertrag_index.filters import Condition
from expertrag_index.order import DocumentOrder
from expertrag_index.rows import SELECT_CHUNKS, chunk_from_row, document_columns, parse_metadata
from expertrag_index.schema import LIVE
from expertrag_index.types import Chunk, Position, StoredDocument

_KEYS = {
    DocumentOrder.ID: "d.id",
    DocumentOrder.TITLE: "substr(d.title, 1, 200)",
    DocumentOrder.SOURCE: "substr(d.source, 1, 200)",
    DocumentOrder.NEWEST: "-d.row",
}
_LIVE_DOCUMENT, _LIVE_CHUNK = LIVE.format("d"), LIVE.format("c")
_SELECT = f"""SELECT d.row, d.checksum, d.added_in, d.id, d.hash, d.text_hash, d.source, d.title,
    d.domain, d.metadata, length(d.text),
    (SELECT count(*) FROM chunks c WHERE c.document = d.row AND {_LIVE_CHUNK})"""


def count_documents(connection: sqlite3.Connection, generation: int, wanted: Condition) -> int:
    """Count the documents (alias ``d``) that a condition admits."""
    (count,) = connection.execute(
        f"SELECT count(*) FROM documents d WHERE {_LIVE_DOCUMENT} AND {wanted.sql}",
        (generation, generation, *wanted.values),
    ).fetchone()
    return int(count)


def list_documents(
    connection: sqlite3.Connection,
    generation: int,
    wanted: Condition,
    order: DocumentOrder,
    after: Position | None,
    limit: int,
) -> list[tuple[Position, StoredDocument]]:
    """Return the documents after a position, in order, each with its own position.

    :raises StoreCorruptError: a row does not match its checksum.
    """
    key = _KEYS[order]
    # the first comparison is for SQLite: it can use the index of the ids
    follows = f"AND {key} >= ? AND ({key}, d.id) > (?, ?)" if after else ""
    rows = connection.execute(
        f"""{_SELECT}, {key} FROM documents d
        WHERE {_LIVE_DOCUMENT} AND {wanted.sql} {follows} ORDER BY {key}, d.id LIMIT ?""",
        (
            *(generation,) * 4,
            *wanted.values,
            *((after[0], *after) if after else ()),
            limit,
        ),
    )
    found = [(row[-1], _document(row[:-1])) for row in rows]
    return [((key, document.id), document) for key, document in found]


def find_document(
    connection: sqlite3.Connection, generation: int, wanted: Condition, document_id: str
) -> StoredDocument | None:
    """Return a document; None if there is none that the condition admits.

    :raises StoreCorruptError: its row does not match its checksum.
    """
    row = connection.execute(
        f"{_SELECT} FROM documents d WHERE {_LIVE_DOCUMENT} AND {wanted.sql} AND d.id = ?",
        (*(generation,) * 4, *wanted.values, document_id),
    ).fetchone()
    return None if row is None else _document(row)


def list_chunks(
    connection: sqlite3.Connection, generation: int, document_id: str, first: int, limit: int
) -> list[Chunk]:
    """Return chunks of a document, from the ordinal ``first`` on.

    :raises StoreCorruptError: a row does not match its checksum.
    """
    rows = connection.execute(
        f"""{SELECT_CHUNKS} WHERE d.id = ? AND {_LIVE_DOCUMENT} AND {_LIVE_CHUNK}
        AND c.ordinal >= ? ORDER BY c.ordinal LIMIT ?""",
        (document_id, *(generation,) * 4, first, limit),
    )
    return [chunk_from_row(row) for row in rows]


def _document(row: Sequence[Any]) -> StoredDocument:
    number, *columns, characters, chunks = row
    _, identifier, _, _, source, title, domain, metadata = document_columns(number, columns)
    return StoredDocument(
        id=str(identifier),
        title=str(title),
        domain=None if domain is None else str(domain),
        source=str(source),
        metadata=parse_metadata(str(metadata)).metadata,
        characters=int(characters),
        chunks=int(chunks),
    )
