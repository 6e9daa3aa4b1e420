"""The files under ``segments/``: immutable, named after their hash, and mapped after a check.

Mapped files cost no memory of the process that the system could not take back, and processes that
serve the same store share them.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from pathlib import Path

from expertrag_index.durable import fsync_folder
from expertrag_index.errors import StoreCorruptError
from expertrag_index.layout import Layout
from expertrag_index.manifest import FileEntry


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


def map_verified(layout: Layout, entry: FileEntry) -> mmap.mmap:
    """Map a file, and verify its size and checksum.

    :raises StoreCorruptError: the file is missing or differs.
    """
    path = layout.segments / entry.file
    try:
        with path.open("rb") as file:
            intact = 0 < os.fstat(file.fileno()).st_size == entry.bytes
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if intact else None
    except FileNotFoundError:
        raise StoreCorruptError(f"{path} is missing") from None
    if mapped is None or hashlib.sha256(mapped).hexdigest() != entry.sha256:
        raise StoreCorruptError(f"{path} is damaged (its checksum differs)")
    return mapped
