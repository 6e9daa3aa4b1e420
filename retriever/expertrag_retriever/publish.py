"""Publishing what was trained or fitted: whole or not at all, by one command at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_retriever.errors import TrainingError


@contextmanager
def work_folder(out: Path, *, keep: bool = False) -> Iterator[Path]:
    """Give ``OUT.partial`` to work in, alone; it goes when the block ends without an error.

    :param keep: leave it, for a step that goes on there.
    :raises TrainingError: another training works there.
    """
    folder = out.with_name(f"{out.name}.partial")
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _hold(lock, out)
        yield folder
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _hold(lock: int, out: Path) -> None:
    """Take a lock that the kernel drops with the process, however it dies."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TrainingError(
            f"another training for {out} is under way: wait until it has ended, or choose another "
            "folder"
        ) from error


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """Give a folder to write to, which becomes ``out`` when the block ends without an error.

    :raises TrainingError: there is something at ``out`` already.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield scratch
        scratch.chmod(0o755)  # made for its owner alone, as safetensors makes its files
        for path in scratch.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if out.exists():
            raise TrainingError(f"{out} is there by now: delete it, and give the command again")
        os.replace(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
