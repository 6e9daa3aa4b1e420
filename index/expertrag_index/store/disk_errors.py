"""Errors of the disk and of SQLite, as typed errors that name the cure."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_index.errors import IndexStoreError, StorageFullError, StoreCorruptError
from expertrag_index.store.layout import Layout

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_FULL_SQLITE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
# the low byte of a code is the primary one: SQLITE_IOERR_WRITE is SQLITE_IOERR | (3 << 8)
_UNREADABLE_SQLITE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
# SQLITE_ERROR is "no such table", raised for an emptied database; CANTOPEN is a missing one;
# READONLY, for a writable file, is a header that requires a newer SQLite
_DAMAGED_SQLITE = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
)


@contextmanager
def store_errors(layout: Layout) -> Iterator[None]:
    """Convert errors of the disk and of SQLite into typed errors that name the cure.

    :raises StorageFullError: no space left, quota reached, or the disk fails to write.
    :raises StoreCorruptError: the database is malformed.
    :raises IndexStoreError: the store is not writable, which SQLite also needs for reading.
    """
    root = layout.root
    try:
        yield
    except StoreCorruptError as error:
        if layout.cure in str(error):
            raise
        raise StoreCorruptError(f"{error}: {layout.cure}") from error
    except UnicodeDecodeError as error:  # a damaged name inside SQLite's own error message
        raise StoreCorruptError(f"{layout.database} is damaged: {layout.cure}") from error
    except OSError as error:
        if error.errno in _FULL:
            raise _full(root, error) from error
        raise
    except sqlite3.Error as error:
        if is_full(error):
            raise _full(root, error) from error
        if is_damage(error):
            if _is_locked_up(layout, error):
                raise IndexStoreError(
                    f"{root} is not writable ({error}): change its permissions or mount options"
                ) from error
            raise StoreCorruptError(
                f"{layout.database} is damaged ({error}): {layout.cure}"
            ) from error
        raise


def is_full(error: sqlite3.Error) -> bool:
    """Whether SQLite could not write."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _FULL_SQLITE and code not in _UNREADABLE_SQLITE


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite could not make sense of what it read."""
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return False  # a bug in this package, not damage
    # no code at all is Python's "Could not decode to UTF-8": a damaged text
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _DAMAGED_SQLITE or code in _UNREADABLE_SQLITE


def _is_locked_up(layout: Layout, error: sqlite3.Error) -> bool:
    """Whether SQLite lacked permission to write the database, or its log next to it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return (
        code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        and layout.database.exists()
        and not all(os.access(path, os.W_OK) for path in (layout.root, layout.database))
    )


def _full(root: Path, error: Exception) -> StorageFullError:
    cure = "free some space"
    if getattr(error, "errno", None) == errno.EIO:
        cure = "the disk failed: check it"
    elif getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR:
        cure = "free some space, or check the disk if there is enough,"
    return StorageFullError(
        f"cannot write to {root} ({error}): {cure} and run the command again; "
        "the published generation is untouched"
    )
