"""Compares documents with their checksums before their metadata is searched.

A filter reads metadata of rows that it does not return, so their checksums are not looked at then.
The first search with a filter, or by access labels, compares all of them; it takes about five
microseconds a document.
"""

from __future__ import annotations

import sqlite3
import threading

from expertrag_index.store.rows import document_columns
from expertrag_index.store.schema import LIVE

_COLUMNS = "row, checksum, added_in, id, hash, text_hash, source, title, domain, metadata"


class DocumentCheck:
    """The check of one generation. Thread-safe."""

    def __init__(self, checked: int = 0) -> None:
        """Check the rows after ``checked``: rows are not changed, and new ones are higher."""
        self._checked = checked
        self._done = False
        self._lock = threading.Lock()

    @property
    def last_row(self) -> int:
        """The row up to which all have been compared."""
        return self._checked

    def ensure(self, connection: sqlite3.Connection, generation: int) -> None:
        """Compare the documents of a generation, if that has not been done.

        :raises StoreCorruptError: a row does not match its checksum.
        """
        with self._lock:
            if self._done:
                return
            query = f"""SELECT {_COLUMNS} FROM documents d
                WHERE {LIVE.format("d")} AND d.row > ? ORDER BY d.row"""
            newest = self._checked
            for newest, *columns in connection.execute(
                query, (generation, generation, self._checked)
            ):
                document_columns(newest, columns)
            self._checked, self._done = newest, True
