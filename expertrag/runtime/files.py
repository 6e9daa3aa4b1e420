"""Versions of a file that is followed while the process runs."""

from __future__ import annotations

import os
from pathlib import Path

FileState = tuple[int, int, int] | None
"""Inode, size in bytes and modification time in nanoseconds; None if the file is missing."""


def file_state(file: Path | str) -> FileState:
    """Identify a version of a file, cheaply enough for every request."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
