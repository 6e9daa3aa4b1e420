"""Writing files so that a crash leaves the old or the new content, never a half.

The order is always: write beside, fsync, rename over, fsync the folder. Without the last step a
power cut can undo the rename.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_index.errors import IndexStoreError, StorageFullError, StoreCorruptError
from expertrag_index.layout import Layout

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_FULL_SQLITE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
# the low byte of a code is the primary one: SQLITE_IOERR_WRITE is SQLITE_IOERR | (3 << 8)
_UNREADABLE_SQLITE = (sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ)
# SQLITE_ERROR is "no such table", what an emptied database says; CANTOPEN is a missing one;
# READONLY, of a file that may be written, is a header that asks for a newer SQLite
_DAMAGED_SQLITE = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """Replace the content of ``path`` in one step."""
    beside = path.with_name(path.name + ".tmp")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    fsync_folder(path.parent)


@contextmanager
def store_errors(layout: Layout) -> Iterator[None]:
    """Turn what the disk and SQLite raise in a store into typed errors that name the cure.

    :raises StorageFullError: no space, quota reached, or the disk refuses to write.
    :raises StoreCorruptError: the database is malformed.
    :raises IndexStoreError: the store may not be written, which SQLite needs to read it, too.
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
                    f"{root} may not be written ({error}): change its permissions or mount"
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
        return False  # our own mistake, not the store's
    # no code at all is Python's "Could not decode to UTF-8", a damaged text
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF in _DAMAGED_SQLITE or code in _UNREADABLE_SQLITE


def _is_locked_up(layout: Layout, error: sqlite3.Error) -> bool:
    """Whether SQLite failed for want of permission: its log and index lie beside the database."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return (
        code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        and layout.database.exists()
        and not all(os.access(path, os.W_OK) for path in (layout.root, layout.database))
    )


def _full(root: Path, error: Exception) -> StorageFullError:
    return StorageFullError(
        f"cannot write to {root} ({error}): free some space and run the command again; "
        "the published generation is untouched"
    )
