"""Lists what a generation holds, without a search: documents, chunks, and what was skipped."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import Any

from expertrag_index.search.filters import Condition, canonical, compile_filter
from expertrag_index.sources.skipped import count_skipped, list_skipped_files
from expertrag_index.store.document_check import DocumentCheck
from expertrag_index.store.labels import select_visible
from expertrag_index.store.layout import Layout
from expertrag_index.store.listing import DocumentInfo, DocumentOrder, Position, SkippedFile
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.rows import (
    SELECT_CHUNKS,
    chunk_from_row,
    document_columns,
    parse_metadata,
)
from expertrag_index.store.schema import LIVE
from expertrag_index.types import Chunk, Filter

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


class Catalog:
    """The documents of one generation, as a reader sees them. Thread-safe."""

    def __init__(
        self,
        layout: Layout,
        reading: Callable[[], AbstractContextManager[sqlite3.Connection]],
        manifest: Manifest,
        check: DocumentCheck,
        labels: Collection[str] | None,
    ) -> None:
        """Take what borrows a connection to the generation's snapshot.

        :param manifest: of the part that the reader sees.
        :param check: of the documents, before a filter reads their metadata.
        :param labels: access labels of the reader; None sees all.
        """
        self._layout = layout
        self._reading = reading
        self._manifest = manifest
        self._check = check
        self._seen = select_visible(labels)
        self._sees_all = labels is None

    def documents(
        self,
        filter: Filter | None = None,
        *,
        order: DocumentOrder = DocumentOrder.ID,
        after: Position | None = None,
        limit: int = 100,
    ) -> list[tuple[Position, DocumentInfo]]:
        """List documents, each with its position, after which the next list begins.

        :raises FilterError: unknown field or operator.
        :raises StoreCorruptError: a row does not match its checksum.
        """
        key, wanted, number = _KEYS[order], self._build_condition(filter), self._manifest.generation
        # the first comparison is for SQLite: it can use the index of the ids
        follows = f"AND {key} >= ? AND ({key}, d.id) > (?, ?)" if after else ""
        query = f"""{_SELECT}, {key} FROM documents d
            WHERE {_LIVE_DOCUMENT} AND {wanted.sql} {follows} ORDER BY {key}, d.id LIMIT ?"""
        position = (after[0], *after) if after else ()
        with self._reading() as connection:
            if filter:
                self._check.ensure(connection, number)
            rows = connection.execute(query, (*(number,) * 4, *wanted.values, *position, limit))
            entries = [(row[-1], _document(row[:-1])) for row in rows]
        return [((key, document.id), document) for key, document in entries]

    def count(self, filter: Filter | None = None) -> int:
        """Count the documents that ``filter`` admits.

        :raises FilterError: unknown field or operator.
        """
        if not filter:
            return self._manifest.documents
        wanted, number = self._build_condition(filter), self._manifest.generation
        query = f"SELECT count(*) FROM documents d WHERE {_LIVE_DOCUMENT} AND {wanted.sql}"
        with self._reading() as connection:
            self._check.ensure(connection, number)
            return int(connection.execute(query, (number, number, *wanted.values)).fetchone()[0])

    def document(self, document_id: str) -> DocumentInfo | None:
        """Return a document without its text; None if there is none with this id.

        :raises StoreCorruptError: its row does not match its checksum.
        """
        query = f"""{_SELECT} FROM documents d
            WHERE {_LIVE_DOCUMENT} AND {self._seen.sql} AND d.id = ?"""
        values = ((self._manifest.generation,) * 4, self._seen.values, (document_id,))
        with self._reading() as connection:
            row = connection.execute(query, tuple(chain(*values))).fetchone()
        return None if row is None else _document(row)

    def chunks(self, document_id: str, first: int = 0, limit: int = 1_000) -> list[Chunk]:
        """Read the chunks of a document in order, from the ordinal ``first`` on.

        Empty if there is no such document.

        :raises StoreCorruptError: a row does not match its checksum.
        """
        query = f"""{SELECT_CHUNKS} WHERE d.id = ? AND {_LIVE_DOCUMENT} AND {_LIVE_CHUNK}
            AND {self._seen.sql} AND c.ordinal >= ? ORDER BY c.ordinal LIMIT ?"""
        number = (self._manifest.generation,) * 4
        with self._reading() as connection:
            values = (document_id, *number, *self._seen.values, first, limit)
            return [chunk_from_row(row) for row in connection.execute(query, values)]

    def texts(self, filter: Filter | None = None) -> Iterator[tuple[DocumentInfo, str]]:
        """Yield the documents that ``filter`` admits, with their texts, the oldest first.

        :raises FilterError: unknown field or operator.
        :raises StoreCorruptError: a row does not match its checksum.
        """
        wanted, number = self._build_condition(filter), self._manifest.generation
        query = f"""{_SELECT}, d.text FROM documents d
            WHERE {_LIVE_DOCUMENT} AND {wanted.sql} ORDER BY d.row"""
        with self._reading() as connection:
            self._check.ensure(connection, number)
            for row in connection.execute(query, (*(number,) * 4, *wanted.values)):
                yield _document(row[:-1]), str(row[-1])

    def list_skipped(self, after: SkippedFile | None = None, limit: int = 100) -> list[SkippedFile]:
        """List what was skipped when the sources of the store were last read, after ``after``.

        Empty for a restricted reader: nobody knows the access labels of what was not read.
        """
        return list_skipped_files(self._layout, after, limit) if self._sees_all else []

    def count_skipped(self) -> int:
        """Count what ``skipped`` lists."""
        return count_skipped(self._layout) if self._sees_all else 0

    def _build_condition(self, filter: Filter | None) -> Condition:
        """Return the condition of the documents that the reader sees and ``filter`` admits."""
        if not filter:
            return self._seen
        chosen = compile_filter(json.loads(canonical(filter)), self._manifest.fields)
        return Condition(f"{self._seen.sql} AND {chosen.sql}", (*self._seen.values, *chosen.values))


def _document(row: Sequence[Any]) -> DocumentInfo:
    number, *columns, characters, chunks = row
    _, identifier, _, _, source, title, domain, metadata = document_columns(number, columns)
    return DocumentInfo(
        id=str(identifier),
        title=str(title),
        domain=None if domain is None else str(domain),
        source=str(source),
        metadata=parse_metadata(str(metadata)).metadata,
        characters=int(characters),
        chunks=int(chunks),
    )
