"""Durable file writes: a crash leaves the old or the new content, never a mixture.

The order is always: write a temporary file, fsync it, rename it, fsync the folder. Without the last
step a power failure can undo the rename.
"""

from __future__ import annotations

import mmap
import os
import shutil
from pathlib import Path


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folders(root: Path) -> None:
    """Make all names in a folder durable, and those in the folders below it."""
    for folder in (root, *filter(Path.is_dir, root.rglob("*"))):
        fsync_folder(folder)


def flush_names_above(folder: Path) -> None:
    """Make durable the name of a folder, and of those above it that this user may have created."""
    for above in folder.resolve().parents:
        if not os.access(above, os.R_OK | os.W_OK):
            return
        fsync_folder(above)
        if above.is_mount():
            return


def write_durably(path: Path, data: bytes | mmap.mmap, *, mode: int = 0o666) -> None:
    """Replace the content of ``path`` atomically; ``mode`` is limited by the umask."""
    temporary = path.with_name(path.name + ".tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    fsync_folder(path.parent)


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where there are no hard links.

    :raises FileNotFoundError: there is no such file.
    """
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
