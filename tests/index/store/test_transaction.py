"""A transaction ends in a commit or in a rollback."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from expertrag_index.store.transaction import transaction


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        yield connection


def rows(connection: sqlite3.Connection) -> list[int]:
    return [n for (n,) in connection.execute("SELECT n FROM t")]


def test_success_commits(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        assert connection.in_transaction
    assert not connection.in_transaction
    assert rows(connection) == [1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_rolls_back(
    connection: sqlite3.Connection, error: type[BaseException]
) -> None:
    with pytest.raises(error), transaction(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        raise error
    assert not connection.in_transaction
    assert rows(connection) == []


def test_an_exception_after_a_rollback_of_sqlite_itself(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="full"), transaction(connection):
        connection.execute("INSERT INTO t VALUES (1)")
        connection.execute("ROLLBACK")  # as SQLite does if the disk is full
        raise sqlite3.OperationalError("database or disk is full")
    assert rows(connection) == []


def test_it_locks_out_other_writers(connection: sqlite3.Connection, tmp_path: Path) -> None:
    with (
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0)) as other,
        transaction(connection),
        pytest.raises(sqlite3.OperationalError, match="locked"),
        transaction(other),
    ):
        pass
