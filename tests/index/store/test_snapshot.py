"""Connections that see one state of the database, whatever a writer does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from expertrag_index.errors import IndexStoreError
from expertrag_index.store.schema import connect_writer, write_meta
from expertrag_index.store.snapshot import SnapshotPool


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect_writer(tmp_path / "store.db")) as connection:
        yield connection


def _stage(writer: sqlite3.Connection, generation: int) -> None:
    writer.execute("BEGIN IMMEDIATE")
    write_meta(writer, staged=generation, oldest=1)
    writer.execute("COMMIT")


def test_a_later_commit_is_not_seen(writer: sqlite3.Connection, tmp_path: Path) -> None:
    _stage(writer, 1)
    with closing(SnapshotPool(tmp_path / "store.db")) as pool:
        _stage(writer, 2)
        for _ in range(5):  # more than there are connections
            with pool.connection() as connection:
                staged = connection.execute("SELECT value FROM meta WHERE name = 'staged'")
                assert staged.fetchone() == (1,)
        assert pool.meta.staged == 1
    with closing(SnapshotPool(tmp_path / "store.db")) as pool:
        assert pool.meta.staged == 2


def test_a_connection_cannot_write(writer: sqlite3.Connection, tmp_path: Path) -> None:
    _stage(writer, 1)
    with (
        closing(SnapshotPool(tmp_path / "store.db")) as pool,
        pool.connection() as connection,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        connection.execute("DELETE FROM meta")


def test_a_closed_pool_says_so(writer: sqlite3.Connection, tmp_path: Path) -> None:
    _stage(writer, 1)
    pool = SnapshotPool(tmp_path / "store.db")
    pool.close()
    pool.close()
    with (
        pytest.raises(IndexStoreError, match=r"the index is closed: open it again"),
        pool.connection(),
    ):
        pass
