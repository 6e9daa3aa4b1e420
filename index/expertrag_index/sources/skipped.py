"""Lists the files that were skipped when the sources of a store were last read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.listing import SkippedFile

_COLUMNS = "notice, source, document_id, reason, cure"


def list_skipped_files(
    layout: Layout, after: SkippedFile | None = None, limit: int = 100
) -> list[SkippedFile]:
    """List skipped files in the order of their fields, those that come after ``after``."""
    follows = f"WHERE ({_COLUMNS}) > (?, ?, ?, ?, ?)" if after else ""
    position = _values(after) if after else ()
    query = f"SELECT {_COLUMNS} FROM skipped {follows} ORDER BY {_COLUMNS} LIMIT ?"
    return [
        SkippedFile(bool(notice), *texts)
        for notice, *texts in _read(layout, query, *position, limit)
    ]


def count_skipped(layout: Layout) -> int:
    """Count the skipped files of a store."""
    return sum(int(count) for (count,) in _read(layout, "SELECT count(*) FROM skipped"))


def _values(file: SkippedFile) -> tuple[object, ...]:
    return file.notice, file.source, file.document_id, file.reason, file.cure


def _read(layout: Layout, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query; none where nothing has been recorded, or the ledger is lost."""
    if not layout.ledger.exists():
        return []
    uri = f"{layout.ledger.resolve().as_uri()}?mode=ro"
    with store_errors(layout), closing(sqlite3.connect(uri, uri=True, timeout=30.0)) as connection:
        try:
            return connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise
            return []
