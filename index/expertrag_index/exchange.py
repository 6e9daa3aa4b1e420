"""Puts a finished folder in the place of another one in one step, so that one is always there."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

from expertrag_index.durable import fsync_folder
from expertrag_index.errors import IndexStoreError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_UNSUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


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
