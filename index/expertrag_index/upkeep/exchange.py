"""Builds a store next to the old one and swaps them atomically."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_common.durable import fsync_folder
from expertrag_index.errors import IndexStoreError
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


@contextmanager
def making(target: Path, suffix: str) -> Iterator[Layout]:
    """Yield the layout of a new store next to ``target``; it is deleted if the block fails."""
    layout = Layout(target.with_name(f"{target.name}.{suffix}.tmp"))
    layout.root.mkdir(parents=True, exist_ok=True)
    with WriterLock(layout):
        # a killed run may have left something; if it had exchanged the two folders, and that is
        # not durable yet, what is here is the store that a power loss would bring back
        fsync_folder(target.parent)
        empty(layout)
        layout.segments.mkdir()
        layout.generations.mkdir()
        try:
            yield layout
        except BaseException:
            shutil.rmtree(layout.root, ignore_errors=True)
            raise


@contextmanager
def alone(target: Layout) -> Iterator[None]:
    """Be the only writer of a store, if there is one."""
    if not target.root.exists():
        yield
        return
    with WriterLock(target):
        yield


def empty(layout: Layout) -> None:
    """Delete everything in a store but its lock file."""
    for path in layout.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != layout.lock:
            path.unlink()


def put_in_place(finished: Path, target: Path) -> None:
    """Rename the folder ``finished`` to ``target``; a folder that was there is deleted.

    :raises IndexStoreError: ``target`` exists, and the system cannot exchange two folders.
    """
    if target.exists():
        _exchange(finished, target)
        fsync_folder(target.parent)
        shutil.rmtree(finished)
    else:
        finished.rename(target)
    fsync_folder(target.parent)


def _exchange(first: Path, second: Path) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    code = errno.ENOSYS
    if call is not None:
        paths = (_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second))
        if call(*paths, _RENAME_EXCHANGE) == 0:
            return
        code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        raise IndexStoreError(f"this system cannot replace {second} in one step: use another path")
    raise OSError(code, os.strerror(code), str(second))
