"""Documents that have been read and wait to be staged: a few in memory, the others on disk."""

from __future__ import annotations

import json
import sqlite3
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict

from expertrag_index.types import Document

MEMORY_CHARACTERS = 1 << 22
"""Text that waits in memory: 1,000 documents of 1,000 tokens."""

Spooled = tuple[Document, bytes]
"""A document and its digest."""


class Spool:
    """A queue; what does not fit into memory waits in a temporary table of the connection."""

    def __init__(self, connection: sqlite3.Connection, most: int = MEMORY_CHARACTERS) -> None:
        """Start an empty queue that keeps ``most`` characters in memory, or one document."""
        self._connection = connection
        self._most = most
        self._first: deque[Spooled] = deque()
        self._characters = 0
        self._row = self._last = 0  # of the table: the last that was read, and that was written

    def __bool__(self) -> bool:
        """Whether a document waits."""
        return bool(self._first) or self._row < self._last

    def add(self, document: Document, digest: bytes) -> None:
        """Append a document."""
        if self._row < self._last or (self._first and self._characters >= self._most):
            self._write(document, digest)
        else:
            self._first.append((document, digest))
            self._characters += len(document.text)

    def pop(self) -> Spooled:
        """Remove and return the document that was added first.

        :raises IndexError: none waits.
        """
        if self._first or self._row == self._last:
            document, digest = self._first.popleft()
            self._characters -= len(document.text)
            return document, digest
        # not one long query: other transactions run between two steps
        query = "SELECT row, document, digest FROM temp.spool WHERE row > ? ORDER BY row LIMIT 1"
        self._row, fields, digest = self._connection.execute(query, (self._row,)).fetchone()
        return Document(**json.loads(fields)), digest

    def _write(self, document: Document, digest: bytes) -> None:
        if not self._last:
            self._connection.execute("DROP TABLE IF EXISTS temp.spool")
            self._connection.execute(
                """CREATE TEMP TABLE spool
                (row INTEGER PRIMARY KEY, document TEXT NOT NULL, digest BLOB NOT NULL)"""
            )
        fields: Mapping[str, object] = asdict(document)
        cursor = self._connection.execute(
            "INSERT INTO temp.spool (document, digest) VALUES (?, ?)", (json.dumps(fields), digest)
        )
        self._last = int(cursor.lastrowid or 0)
