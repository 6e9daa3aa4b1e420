"""Records which source each stored file, page or object came from, and in which version.

The ledger is a SQLite database in the store's folder. A source claims what it is about to write,
before it is written, and records its version afterwards. A process that is killed in between reads
the item again. Losing the ledger costs that work for all items, and documents whose files vanished
meanwhile stay until somebody deletes them. Nobody knows any more where they came from.

It also keeps what was skipped when each source was last read, for whoever looks later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.transaction import transaction
from expertrag_index.types import LoadFailure

_VERSION = 1
_SCHEMA = f"""
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS sources;
DROP TABLE IF EXISTS items;
CREATE TABLE sources (
    key TEXT PRIMARY KEY, list TEXT NOT NULL, fingerprint TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE items (
    source TEXT PRIMARY KEY, key TEXT NOT NULL, version TEXT NOT NULL, documents INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX items_by_key ON items (key);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
_SKIPPED = """
CREATE TABLE IF NOT EXISTS skipped (
    notice INTEGER NOT NULL, source TEXT NOT NULL, document_id TEXT NOT NULL,
    reason TEXT NOT NULL, cure TEXT NOT NULL,
    PRIMARY KEY (notice, source, document_id, reason, cure)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What was read of an item: its version, empty if unsure, and how many documents it gave."""

    version: str
    documents: int


class Ledger:
    """The ledger of one store, which must exist.

    Every method that writes raises ``StorageFullError`` if there is no space.
    """

    def __init__(self, store: Path) -> None:
        self._layout = Layout(store)
        with store_errors(self._layout):
            try:
                self._connection = _open(self._layout.ledger)
            except sqlite3.DatabaseError:
                if not _is_damaged(self._layout.ledger):
                    raise
                self._layout.ledger.unlink()  # it only saves work
                self._connection = _open(self._layout.ledger)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def register(self, key: str, fingerprint: str, list_name: str = "") -> None:
        """Introduce a source; items that were read with other limits count as not read.

        :param list_name: the list of sources that names it; empty if none does.
        """
        row = self._connection.execute(
            "SELECT fingerprint, list FROM sources WHERE key = ?", (key,)
        ).fetchone()
        if row is not None and row[0] == fingerprint and list_name in ("", row[1]):
            return
        with self._writing():
            if row is not None and row[0] != fingerprint:
                self._connection.execute("UPDATE items SET version = '' WHERE key = ?", (key,))
            self._connection.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?)",
                (key, list_name or (row[1] if row else ""), fingerprint),
            )

    def read_list(self, list_name: str) -> set[str]:
        """Return the keys of the sources that a list named when it was last in use."""
        rows = self._connection.execute("SELECT key FROM sources WHERE list = ?", (list_name,))
        return {key for (key,) in rows}

    def items(self, key: str) -> dict[str, KnownItem]:
        """Return what is known of a source's items."""
        rows = self._connection.execute(
            "SELECT source, version, documents FROM items WHERE key = ?", (key,)
        )
        return {source: KnownItem(version, documents) for source, version, documents in rows}

    def owners(self) -> dict[str, str]:
        """Return the key of the source of every item."""
        return dict(self._connection.execute("SELECT source, key FROM items"))

    def claim(self, key: str, sources: Iterable[str]) -> None:
        """Record, before items are written, that they come from a source. Others' stay theirs."""
        with self._writing():
            self._connection.executemany(
                """INSERT INTO items VALUES (?, ?, '', 0) ON CONFLICT (source)
                DO UPDATE SET version = '' WHERE key = excluded.key""",
                [(source, key) for source in sources],
            )

    def adopt(self, key: str, covers: Callable[[str], bool], stored: Iterable[str]) -> None:
        """Let a source take over stored items that it covers, whoever claimed them before."""
        with self._writing():
            self._connection.executemany(
                "INSERT OR REPLACE INTO items VALUES (?, ?, '', 0)",
                [(source, key) for source in stored if covers(source)],
            )

    def record(self, key: str, items: Mapping[str, KnownItem]) -> None:
        """Record what was read of a source's items."""
        with self._writing():
            self._connection.executemany(
                "UPDATE items SET version = ?, documents = ? WHERE source = ? AND key = ?",
                [(known.version, known.documents, name, key) for name, known in items.items()],
            )

    def forget(self, sources: Iterable[str]) -> None:
        """Drop items whose documents were deleted."""
        with self._writing():
            self._connection.executemany(
                "DELETE FROM items WHERE source = ?", [(source,) for source in sources]
            )

    def drop(self, key: str) -> None:
        """Drop a source, once its items are dropped."""
        with self._writing():
            self._connection.execute("DELETE FROM sources WHERE key = ?", (key,))

    def keep_skipped(
        self, failures: Iterable[LoadFailure], replaced: Callable[[str], bool]
    ) -> None:
        """Record what was skipped, instead of what was known of the sources ``replaced``."""
        rows = self._connection.execute("SELECT DISTINCT source FROM skipped")
        ended = [source for (source,) in rows if replaced(source)]
        with self._writing():
            self._connection.executemany(
                "DELETE FROM skipped WHERE source = ?", [(source,) for source in ended]
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO skipped VALUES (?, ?, ?, ?, ?)",
                [
                    (each.notice, each.source, each.document_id, each.reason, each.cure)
                    for each in failures
                ],
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with store_errors(self._layout), transaction(self._connection):
            yield


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
    try:
        connection.execute("PRAGMA synchronous = FULL")
        if connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            connection.executescript(_SCHEMA)
        connection.execute(_SKIPPED)
        connection.execute("SELECT count(*) FROM items, sources").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _is_damaged(path: Path) -> bool:
    """Return whether a file is not a whole SQLite database, and not only locked or unwritable."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            return bool(connection.execute("PRAGMA quick_check").fetchone()[0] != "ok")
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True
