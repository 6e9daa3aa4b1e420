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

from expertrag_index.errors import StorageFullError, StoreCorruptError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
_FULL_SQLITE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
# SQLITE_ERROR is "no such table", what an emptied database says; CANTOPEN is a missing one
_DAMAGED_SQLITE = (
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_CANTOPEN,
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
def disk_errors(root: Path) -> Iterator[None]:
    """Turn what the disk and SQLite raise in the store at ``root`` into typed errors.

    :raises StorageFullError: no space, quota reached, or the disk refuses to write.
    :raises StoreCorruptError: the database is malformed.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(root, error) from error
        raise
    except sqlite3.Error as error:
        # the low byte is the primary code: SQLITE_IOERR_WRITE is SQLITE_IOERR | (3 << 8)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _FULL_SQLITE:
            raise _full(root, error) from error
        if code in _DAMAGED_SQLITE:
            raise StoreCorruptError(
                f"the database of {root} is damaged ({error}): "
                f"run 'expertrag index verify {root} --repair'"
            ) from error
        raise


def _full(root: Path, error: Exception) -> StorageFullError:
    return StorageFullError(
        f"cannot write to {root} ({error}): free some space and run the command again; "
        "the published generation is untouched"
    )
