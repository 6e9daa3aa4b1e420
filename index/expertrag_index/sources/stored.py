"""Counts what a store holds of each source."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from expertrag_index.errors import StoreNotFoundError
from expertrag_index.store.current import read_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.schema import LIVE, connect_reader


class StoredSources:
    """The counts of one store, kept until another generation is published."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._state: tuple[int, int] | None = None
        self._counts: Mapping[str, int] = {}

    def __call__(self) -> Mapping[str, int]:
        """Return the counts, as ``count_sources`` does."""
        try:
            status = Layout(self._store).current.stat()
        except FileNotFoundError:
            return {}
        if self._state != (state := (status.st_ino, status.st_mtime_ns)):
            self._counts, self._state = count_sources(self._store), state
        return self._counts


def count_sources(store: Path) -> dict[str, int]:
    """Count the documents of the published generation by ``Document.source``.

    Empty if nothing has been published.

    :raises StoreCorruptError: the store is damaged.
    """
    layout = Layout(store)
    with store_errors(layout):
        try:
            number = read_current(layout)
        except StoreNotFoundError:
            return {}
        with closing(connect_reader(layout.database)) as connection:
            query = f"SELECT source, count(*) FROM documents d WHERE {LIVE.format('d')} GROUP BY 1"
            return dict(connection.execute(query, (number, number)))
