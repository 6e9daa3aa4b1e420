"""The SQLite schema, and how connections to it are opened.

Rows are versioned: a row is part of generation g if ``added_in <= g < removed_in``. Only
``removed_in`` of a row is ever updated. ``checksum`` covers the other columns of its row.

``meta`` holds three integers. ``staged`` is the newest generation whose rows are complete.
``oldest`` is the oldest generation whose rows all still exist. ``epoch`` is increased by every
transaction that changes what a reader of a published generation could see. ``origin`` is one row
with the manifest's embedder and chunker, so that the database alone can rebuild the rest.
``groups`` records which expert serves the documents of a group, if the embedder has experts.
``expert`` of a chunk is the expert that made its vector. ``seal`` is one row (see ``seal.py``).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from expertrag_index.errors import StoreCorruptError
from expertrag_index.store.manifest import FORMAT_VERSION, EmbedderEntry, format_error

NEVER = 1 << 62
"""``removed_in`` of a row that is still part of the newest generation."""

LIVE = "{0}.added_in <= ? AND {0}.removed_in > ?"
"""SQL condition that a row of table alias {0} is part of a generation, which is bound twice."""

LABELS = "$labels"
"""Name under which ``documents.metadata`` holds a document's access labels, if it has any."""

PAGES = "$pages"
"""Name under which ``documents.metadata`` holds where a document's pages begin, if it has pages."""

RESERVED = frozenset({LABELS, PAGES})
"""Names in ``documents.metadata`` that are not metadata."""

UNSEALED = -1
"""``seal.epoch`` of a store of an earlier format."""

Seal = tuple[int, bytes]
"""The epoch that is sealed, and the checksum of what ``seal.py`` covers."""

_CACHE_KIB = 32_000
"""Pages that a writer keeps in memory, instead of 2 MiB."""

_LOG_PAGES = 8_000
"""Length of SQLite's log from which its pages are moved into the database, instead of 1,000."""

_EARLIER_FORMAT = 3
"""Its database also held the full-text index, and its seal covered that."""

_SEAL = """
CREATE TABLE seal (epoch INTEGER NOT NULL, checksum BLOB NOT NULL);
INSERT INTO seal VALUES ({}, x'');
"""
_UPGRADE = f"""
DROP TABLE IF EXISTS chunks_fts;
DROP TABLE IF EXISTS seal;
{_SEAL.format(UNSEALED)}
PRAGMA user_version = {FORMAT_VERSION};
"""

# text comes last, so that a scan over metadata never touches its overflow pages
_SCHEMA = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('staged', 0), ('oldest', 0), ('epoch', 0);
CREATE TABLE origin (
    embedder TEXT NOT NULL, fingerprint TEXT NOT NULL, dimension INTEGER NOT NULL,
    chunker TEXT NOT NULL
);
CREATE TABLE documents (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    added_in INTEGER NOT NULL,
    removed_in INTEGER NOT NULL DEFAULT {NEVER},
    id TEXT NOT NULL,
    hash BLOB NOT NULL,
    text_hash BLOB NOT NULL,
    source TEXT NOT NULL,
    title TEXT NOT NULL,
    domain TEXT,
    metadata TEXT NOT NULL,
    checksum BLOB NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX documents_by_id ON documents (id, removed_in, added_in);
CREATE INDEX documents_by_generation ON documents (removed_in, added_in);
CREATE INDEX documents_by_added_in ON documents (added_in);
CREATE TABLE chunks (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    added_in INTEGER NOT NULL,
    removed_in INTEGER NOT NULL DEFAULT {NEVER},
    document INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    expert TEXT NOT NULL,
    checksum BLOB NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX chunks_by_document ON chunks (document, removed_in, added_in);
CREATE INDEX chunks_by_generation ON chunks (removed_in, added_in, expert);
CREATE INDEX chunks_by_added_in ON chunks (added_in);
CREATE INDEX chunks_by_content ON chunks (content_hash);
CREATE TABLE groups (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    added_in INTEGER NOT NULL,
    removed_in INTEGER NOT NULL DEFAULT {NEVER},
    name TEXT NOT NULL,
    expert TEXT NOT NULL,
    share REAL NOT NULL,
    documents INTEGER NOT NULL,
    evidence TEXT NOT NULL,
    checksum BLOB NOT NULL
);
CREATE TABLE vectors (
    content_hash BLOB PRIMARY KEY,
    checksum BLOB NOT NULL,
    embedding BLOB NOT NULL
);
PRAGMA user_version = {FORMAT_VERSION};
{_SEAL.format(0)}
"""


@dataclass(frozen=True, slots=True)
class Meta:
    """The ``meta`` table."""

    staged: int
    oldest: int
    epoch: int


def connect_writer(path: Path, *, create: bool = True, upgrade: bool = True) -> sqlite3.Connection:
    """Open the database for writing.

    :param create: create the tables if there are none. Never set it once a generation has been
        published: a lost database must not be replaced by an empty one.
    :param upgrade: bring a database of an earlier format to this one, which the versions that wrote
        it cannot open any more.
    :raises StoreCorruptError: there are no tables, and ``create`` is False.
    :raises StoreFormatError: the database was written by a newer or an older version.
    """
    if not create and not path.exists():
        raise StoreCorruptError(f"{path} is missing")
    connection = sqlite3.connect(path, isolation_level=None, timeout=30.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # vectors come in the order of their hashes: pages that change often are written less often
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not create:
            raise StoreCorruptError(f"{path} is empty")
        if version == 0:
            connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} COMMIT;")
        elif version == _EARLIER_FORMAT:
            if upgrade:
                connection.executescript(f"BEGIN IMMEDIATE; {_UPGRADE} COMMIT;")
        elif version != FORMAT_VERSION:
            raise format_error(str(path), version)
    except BaseException:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the database for reading, pinned to its current state until the connection closes.

    The open read transaction keeps the snapshot, whatever a writer commits or purges later.
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(
        uri, uri=True, isolation_level=None, timeout=30.0, check_same_thread=False
    )
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT value FROM meta").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def read_meta(connection: sqlite3.Connection) -> Meta:
    """Read the ``meta`` table."""
    values = dict(connection.execute("SELECT name, value FROM meta"))
    try:
        return Meta(**{name: int(value) for name, value in values.items()})
    except (TypeError, ValueError):
        raise StoreCorruptError("the table meta of store.db is damaged") from None


def write_meta(connection: sqlite3.Connection, *, staged: int, oldest: int) -> None:
    """Update the ``meta`` table inside the caller's transaction, and increase the epoch."""
    connection.executemany(
        "UPDATE meta SET value = ? WHERE name = ?", [(staged, "staged"), (oldest, "oldest")]
    )
    connection.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'")


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the database is of this version's format."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version == FORMAT_VERSION


def read_seal(connection: sqlite3.Connection) -> Seal:
    """Read ``seal``; the epoch is ``UNSEALED`` in an earlier format."""
    if not is_current(connection):
        return UNSEALED, b""
    row = connection.execute("SELECT epoch, checksum FROM seal").fetchone()
    if row is None:
        raise StoreCorruptError("the table seal of store.db is damaged")
    return row[0], row[1]


def read_origin(connection: sqlite3.Connection) -> tuple[EmbedderEntry, str] | None:
    """Read the embedder and the chunker of the rows; None before the first generation."""
    row = connection.execute("SELECT * FROM origin").fetchone()
    return None if row is None else (EmbedderEntry(*row[:3]), str(row[3]))


def write_origin(connection: sqlite3.Connection, embedder: EmbedderEntry, chunker: str) -> None:
    """Replace ``origin`` inside the caller's transaction."""
    connection.execute("DELETE FROM origin")
    connection.execute(
        "INSERT INTO origin VALUES (?, ?, ?, ?)",
        (embedder.name, embedder.fingerprint, embedder.dimension, chunker),
    )
