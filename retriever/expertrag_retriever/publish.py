"""Publishes trained or fitted artifacts atomically, by one command at a time."""

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
    """Lock and yield the work folder ``OUT.partial``; delete it if the block ends without an error.

    :param keep: do not delete it: a later step continues there.
    :raises TrainingError: another training is using it.
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
    """Take a lock that the kernel releases when the process ends, even if it is killed."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TrainingError(
            f"another training for {out} is running: wait until it ends, or choose another folder"
        ) from error


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """Yield a scratch folder on the file system of ``out``; it is removed at the end."""
    out.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """Yield a scratch folder that is renamed to ``out`` if the block ends without an error.

    :raises TrainingError: ``out`` already exists.
    """
    with scratch_folder(out) as scratch:
        yield scratch
        scratch.chmod(0o755)  # mkdtemp and safetensors create files for their owner only
        for path in scratch.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if out.exists():
            raise TrainingError(f"{out} was created meanwhile: delete it and run the command again")
        os.replace(scratch, out)
