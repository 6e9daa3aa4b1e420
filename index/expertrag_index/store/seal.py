"""The seal: a checksum of the versions of rows, which have no checksum of their own.

Texts, metadata and vectors have a checksum in their row, which is compared before they are used.
Only ``added_in`` and ``removed_in`` tell which rows belong to a generation. A damaged page, or a
log of SQLite that is cut off in the middle, changes which chunks are found. So the seal holds a sum
over all rows. Every transaction that changes a published state brings the sum up to date by the
rows that it touches. Opening a store compares the sum with the rows that are there.

A row adds (a k + b) (c v + d) mod 2^31 - 1, with its key k and its versions v. A change of one row,
or of two, is always noticed, and any other but for one case in two thousand million. Sums can be
brought up to date without reading the other rows, so damage of these is never sealed.

The seal also holds the epoch. After a crash that damages SQLite's log, pages of two transactions
can be mixed; then the epochs differ even if each table is whole.

A store of an earlier format has no seal that this version could compare. Its first writer seals it.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from expertrag_index.errors import StoreCorruptError
from expertrag_index.store.schema import NEVER, UNSEALED, Seal, is_current, read_meta, read_seal
from expertrag_index.store.transaction import transaction

_PRIME = 2**31 - 1
_FACTORS = (1_103_515_245, 48_271, 1_566_083_941)
_VERSIONS = ("added_in", "removed_in")
_IMPOSSIBLE = f"removed_in <= added_in OR removed_in BETWEEN {_PRIME} AND {NEVER - 1}"
"""Versions that no row has. ``NEVER`` is 1 modulo the prime, and others must not pass for it."""
_NO_SUM = -1


@dataclass(frozen=True, slots=True)
class _Summed:
    """A table, one of its indexes, and what is summed: its key and other columns."""

    table: str
    index: str
    key: str
    columns: Sequence[str]


# search reads each of these indexes, and they hold all columns that are needed
_TABLES = (
    _Summed("chunks", "chunks_by_generation", "key", _VERSIONS),
    _Summed("chunks", "chunks_by_document", "key", (*_VERSIONS, "document")),
    _Summed("documents", "documents_by_generation", "row", _VERSIONS),
)
_PACKED = struct.Struct(f"<{2 * len(_TABLES)}q")


@dataclass(frozen=True, slots=True)
class RowSums:
    """For each index that is summed: the sum of its rows, and their number."""

    values: tuple[int, ...]

    def __add__(self, other: RowSums) -> Self:
        return type(self)(tuple(a + b for a, b in zip(self.values, other.values, strict=True)))

    def __sub__(self, other: RowSums) -> Self:
        return type(self)(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))


def read_sums(connection: sqlite3.Connection) -> RowSums:
    """Return the sums that the seal holds.

    :raises StoreCorruptError: it holds none.
    """
    epoch, checksum = read_seal(connection)
    if epoch == 0:  # nothing has been published
        return RowSums((0,) * 2 * len(_TABLES))
    try:
        return RowSums(_PACKED.unpack(checksum))
    except struct.error:
        raise _mismatch() from None


def rows_where(
    connection: sqlite3.Connection,
    condition: str,
    values: Sequence[int],
    *,
    as_live: bool = False,
) -> RowSums:
    """Sum up the rows of both tables that meet a condition on their versions.

    :param as_live: as they were before they were removed.
    """
    sums: list[int] = []
    for summed in _TABLES:
        rows = f"{summed.table} WHERE {condition}"
        sums += _sum(connection, summed, rows, values, as_live=as_live)
    return RowSums(tuple(sums))


def write_seal(connection: sqlite3.Connection, sums: RowSums | None = None) -> None:
    """Seal the state of the caller's transaction, after ``write_meta``, at its end.

    :param sums: of its rows; None to sum them up.
    """
    meta = read_meta(connection)
    packed = _PACKED.pack(*(sums or _all_rows(connection, meta.staged)).values)
    connection.execute("UPDATE seal SET epoch = ?, checksum = ?", (meta.epoch, packed))


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
    meta = read_meta(connection)
    if (epoch, checksum) == known and epoch == meta.epoch:
        return
    if epoch == UNSEALED and not required:
        return
    if epoch != meta.epoch:
        raise _mismatch()
    if read_sums(connection) != _all_rows(connection, meta.staged):
        raise _mismatch()


def _all_rows(connection: sqlite3.Connection, staged: int) -> RowSums:
    """Sum up all rows; those newer than ``staged`` are being written."""
    sums: list[int] = []
    for summed in _TABLES:
        rows = f"{summed.table} INDEXED BY {summed.index} WHERE added_in <= ?"
        sums += _sum(connection, summed, rows, (staged,))
    return RowSums(tuple(sums))


def _sum(
    connection: sqlite3.Connection,
    summed: _Summed,
    rows: str,
    values: Sequence[int],
    *,
    as_live: bool = False,
) -> tuple[int, int]:
    """Return the sum of some rows, and their number.

    :param rows: the table and the condition, as SQL.
    """
    key = summed.key
    read = [str(NEVER) if as_live and name == "removed_in" else name for name in summed.columns]
    factors = zip(read, _FACTORS, strict=False)
    versions = " + ".join(f"({name} % {_PRIME}) * {factor} % {_PRIME}" for name, factor in factors)
    # a number that became a text compares otherwise
    kinds = " + ".join(f"(typeof({name}) = 'integer')" for name in (key, *read))
    row = f"(({key} % {_PRIME}) * 69621 + 7) % {_PRIME} * (({versions} + {kinds}) % {_PRIME})"
    query = f"""SELECT coalesce(sum({row} % {_PRIME}), 0), count(*), coalesce(sum({_IMPOSSIBLE}), 0)
        FROM {rows}"""
    total, count, impossible = connection.execute(query, tuple(values)).fetchone()
    return _NO_SUM if impossible else int(total), int(count)


def _mismatch() -> StoreCorruptError:
    return StoreCorruptError("the versions of documents in store.db do not match their seal")
