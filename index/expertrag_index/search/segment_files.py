"""The files under ``segments/``: immutable, named after their hash, and mapped after a check.

Mapped files cost no memory of the process that the system could not take back, and processes that
serve the same store share them.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path
from typing import BinaryIO

from expertrag_common.durable import fsync_folder
from expertrag_index.errors import StoreCorruptError
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import FileEntry


def temporary_file(layout: Layout) -> Path:
    """Return the path of a file to write; the one writer of a store writes one at a time."""
    return layout.segments / "writing.tmp"


def adopt_file(written: Path, suffix: str) -> FileEntry:
    """Make a written file durable under the name of its hash in its folder, and describe it."""
    with written.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
        size = os.fstat(file.fileno()).st_size
    entry = FileEntry(f"{digest[:16]}{suffix}", size, digest)
    written.replace(written.with_name(entry.file))
    fsync_folder(written.parent)
    return entry


def open_verified(layout: Layout, entry: FileEntry) -> BinaryIO:
    """Open a file, and verify its size and checksum; its position is anywhere.

    :raises StoreCorruptError: the file is missing or differs.
    """
    path = layout.segments / entry.file
    try:
        file = path.open("rb", buffering=0)
    except FileNotFoundError:
        raise StoreCorruptError(f"{path} is missing") from None
    try:
        # read, not mapped: pages that are mapped would count as memory of the process
        sound = 0 < os.fstat(file.fileno()).st_size == entry.bytes
        if not sound or hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
            raise StoreCorruptError(f"{path} is damaged (its checksum differs)")
    except BaseException:
        file.close()
        raise
    return file


def map_verified(layout: Layout, entry: FileEntry) -> mmap.mmap:
    """Map a file, and verify its size and checksum.

    :raises StoreCorruptError: the file is missing or differs.
    """
    with open_verified(layout, entry) as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
