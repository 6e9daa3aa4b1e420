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
from multiprocessing import get_context
from pathlib import Path
from types import FrameType

from changes import Change, apply

from expertrag_index.settings import WriterSettings

_EFFECTS = (sqlite3.Connection, sqlite3.Cursor, io.IOBase)
_context = get_context("forkserver")
# a second of imports once, not for each writer; power_loss: what the campaigns import
_context.set_forkserver_preload(["killed_writer", "power_loss", "expertrag_index.loaders.load"])


def run_killed(
    change: Change, path: Path, embedder: str, settings: WriterSettings, moment: int
) -> bool:
    """Make a change in a process that is killed before effect number ``moment``, from 1.

    :return: whether it was killed; False: it ended before.
    :raises RuntimeError: it failed.
    """
    process = _context.Process(target=_run, args=(change, path, embedder, settings, moment))
    process.start()
    process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the writer ended with {process.exitcode}")
    return process.exitcode != 0


def _run(
    change: Change, path: Path, embedder: str, settings: WriterSettings, moment: int
) -> None:
    left = moment

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal left
        if event == "c_call" and _is_effect(getattr(argument, "__self__", None)):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    apply(change, path, embedder, settings)
    sys.setprofile(None)


def _is_effect(owner: object) -> bool:
    """Whether a call of this object or module may change a file."""
    return owner is posix or isinstance(owner, _EFFECTS)
