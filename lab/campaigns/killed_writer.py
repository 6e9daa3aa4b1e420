"""A writer that ends itself by SIGKILL at a chosen moment, which a seed repeats.

Moments are counted in SQL statements and file operations, before each of which it may be killed.
"""

from __future__ import annotations

import io
import os
import posix
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from types import FrameType

from changes import Change, apply

from expertrag_index.build.settings import WriterSettings

_STATEMENTS = (sqlite3.Connection, sqlite3.Cursor, io.IOBase)
_FILE_OPERATIONS = {"fsync", "mkdir", "rename", "replace", "rmdir", "unlink"}
_context = get_context("forkserver")
# a second of imports once, not for each writer; power_loss: what the campaigns import
_context.set_forkserver_preload(["killed_writer", "power_loss", "expertrag_index.loaders.load"])


def run_killed(
    change: Change, path: Path, embedder: str, settings: WriterSettings, moment: int
) -> bool:
    """Make a change in a process that is killed before its moment number ``moment``, from 1.

    :return: whether it was killed; False: it ended before.
    :raises RuntimeError: it failed.
    """
    process = _context.Process(target=_run, args=(change, path, embedder, settings, moment))
    process.start()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the writer ended with {process.exitcode}")
    return process.exitcode != 0


@contextmanager
def killed_before(moment: int, *, files_only: bool = False) -> Iterator[None]:
    """Kill this process before its moment number ``moment``; with 0, never.

    :param files_only: count only what flushes a file or changes a name.
    """
    left = moment

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if event == "c_call" and _is_moment(argument, files_only):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(None)


def _is_moment(called: object, files_only: bool) -> bool:
    owner = getattr(called, "__self__", None)
    if owner is posix:
        return not files_only or getattr(called, "__name__", "") in _FILE_OPERATIONS
    return not files_only and isinstance(owner, _STATEMENTS)


def _run(change: Change, path: Path, embedder: str, settings: WriterSettings, moment: int) -> None:
    with killed_before(moment):
        apply(change, path, embedder, settings)
