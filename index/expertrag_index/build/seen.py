"""The documents that a run has read, on disk: a build's memory does not grow with them."""

from __future__ import annotations

import sqlite3


class SeenDocuments:
    """Ids and sources, in a temporary table of the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Start without documents."""
        self._execute = connection.execute
        self._execute("DROP TABLE IF EXISTS temp.seen")
        self._execute(
            "CREATE TEMP TABLE seen (id TEXT PRIMARY KEY, source TEXT NOT NULL) WITHOUT ROWID"
        )

    def add(self, identifier: str, source: str) -> None:
        """Add a document whose id is new."""
        self._execute("INSERT INTO temp.seen VALUES (?, ?)", (identifier, source))

    def source_of(self, identifier: str) -> str | None:
        """Return the source of a document; None if its id has not been seen."""
        query = "SELECT source FROM temp.seen WHERE id = ?"
        row = self._execute(query, (identifier,)).fetchone()
        return None if row is None else str(row[0])
