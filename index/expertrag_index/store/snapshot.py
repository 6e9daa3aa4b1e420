"""Read-only connections that all see the same state of the database.

Each connection holds a read transaction for its whole lifetime. WAL keeps that state readable while
a writer commits and even purges, so readers need no coordination with the writer.
"""

from __future__ import annotations

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_index.errors import IndexStoreError
from expertrag_index.store.schema import Meta, connect_reader, read_meta

_SIZE = 4  # searches of one store that run SQL at the same time; further threads wait
_ATTEMPTS = 20


class SnapshotPool:
    """A few connections to one snapshot, each used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._free: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._closed = False
        self.meta = self._fill(path)

    def _fill(self, path: Path) -> Meta:
        for _ in range(_ATTEMPTS):
            connections: list[sqlite3.Connection] = []
            try:
                while len(connections) < _SIZE:
                    connections.append(connect_reader(path))
                states = {read_meta(connection) for connection in connections}
            except BaseException:
                _close(connections)
                raise
            if len(states) == 1:
                for connection in connections:
                    self._free.put(connection)
                return states.pop()
            _close(connections)  # a writer committed in between
        raise IndexStoreError(f"{path} changes faster than it can be opened: try again")

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Borrow a connection. Never borrow a second one while holding one."""
        self.check_open()
        connection = self._free.get()
        try:
            yield connection
        finally:
            self._free.put(connection)

    def check_open(self) -> None:
        """Raise IndexStoreError if it is closed."""
        if self._closed:
            raise IndexStoreError("the index is closed: open it again with Index.open")

    def close(self) -> None:
        """Wait for running searches, then close. Idempotent."""
        if not self._closed:
            self._closed = True
            _close([self._free.get() for _ in range(_SIZE)])


def _close(connections: list[sqlite3.Connection]) -> None:
    for connection in connections:
        connection.close()
