"""The seal: a checksum of what search reads from the database without a checksum of its own.

Texts and vectors have a checksum in their row, which is compared when the row is read. The versions
of rows have none, and a filter reads metadata without its row's: a damaged page in them, or a log
of SQLite that is cut off in the middle, changes which chunks are found. So every transaction that
changes a published state ends with a checksum of all of these, and opening a store compares it.

The seal also holds the epoch. After a crash that damages SQLite's log, pages of two transactions
can be mixed; then the epochs differ even if each table is whole.

A store of an earlier format has no seal that this version could compare. Its first writer seals it.
"""

from __future__ import annotations

import hashlib
import sqlite3

from expertrag_index.errors import StoreCorruptError
from expertrag_index.schema import UNSEALED, Seal, is_current, read_meta, read_seal
from expertrag_index.transaction import transaction

# One long text each: half the time of reading the rows. The indexes hold all columns that are
# needed, and search reads the versions from them; rows newer than ``staged`` are being written.
_ROWS = (
    """SELECT group_concat(key || ' ' || added_in || ' ' || removed_in || ' ' || expert)
    FROM (SELECT key, added_in, removed_in, expert FROM chunks INDEXED BY chunks_by_generation
    WHERE added_in <= :staged ORDER BY removed_in, added_in, expert, key)""",
    """SELECT group_concat(document || ' ' || key)
    FROM (SELECT document, key FROM chunks INDEXED BY chunks_by_document
    WHERE added_in <= :staged ORDER BY document, removed_in, added_in, key)""",
    """SELECT group_concat(row || ' ' || added_in || ' ' || removed_in)
    FROM (SELECT row, added_in, removed_in FROM documents INDEXED BY documents_by_generation
    WHERE added_in <= :staged ORDER BY removed_in, added_in, row)""",
    """SELECT group_concat(row || ' ' || coalesce(domain, '') || ' ' || source || ' ' || metadata)
    FROM (SELECT row, domain, source, metadata FROM documents NOT INDEXED
    WHERE added_in <= :staged ORDER BY row)""",
)


def write_seal(connection: sqlite3.Connection) -> None:
    """Seal the state of the caller's transaction, after ``write_meta``, at its end."""
    meta = read_meta(connection)
    checksum = _checksum(connection, meta.staged)
    connection.execute("UPDATE seal SET epoch = ?, checksum = ?", (meta.epoch, checksum))


def adopt(connection: sqlite3.Connection) -> None:
    """Seal a store that has been upgraded from an earlier format. Nothing may be staged."""
    if is_current(connection) and read_seal(connection)[0] == UNSEALED:
        with transaction(connection):
            write_seal(connection)


def check_seal(
    connection: sqlite3.Connection, *, required: bool = False, known: Seal | None = None
) -> None:
    """Compare the database with its seal.

    :param required: refuse an unsealed database.
    :param known: the seal of a state that this process has compared or written: not compared again.
    :raises StoreCorruptError: they differ.
    """
    epoch, checksum = read_seal(connection)
    if (epoch, checksum) == known and epoch == read_meta(connection).epoch:
        return
    if epoch == UNSEALED and not required:
        return
    meta = read_meta(connection)
    if epoch != meta.epoch or (epoch and checksum != _checksum(connection, meta.staged)):
        raise StoreCorruptError(
            "the versions or the metadata of documents in store.db do not match their seal"
        )


def is_sealed(connection: sqlite3.Connection) -> bool:
    """Whether the database matches its seal, or has none."""
    try:
        check_seal(connection)
    except StoreCorruptError:
        return False
    return True


def _checksum(connection: sqlite3.Connection, staged: int) -> bytes:
    state = hashlib.sha256()  # twice as fast as BLAKE2b where the processor has instructions for it
    for query in _ROWS:
        (text,) = connection.execute(query, {"staged": staged}).fetchone()
        state.update(repr(text).encode())
    return state.digest()
