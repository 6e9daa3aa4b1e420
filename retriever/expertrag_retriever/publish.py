"""Publishes trained or fitted artifacts atomically, by one command at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from expertrag_retriever.errors import OutputTakenError


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """Lock and yield a scratch folder next to ``out``, empty even if a run was killed there.

    It is removed at the end.

    :raises OutputTakenError: another run is using it.
    """
    scratch = out.with_name(f".{out.name}.scratch")
    with hold_folder(scratch, out):
        try:
            for leftover in scratch.iterdir():
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def publish(out: Path) -> Iterator[Path]:
    """Yield a scratch folder that is renamed to ``out`` if the block ends without an error.

    :raises OutputTakenError: ``out`` already exists, or another run is writing it.
    """
    with scratch_folder(out) as scratch:
        yield scratch
        scratch.chmod(0o755)  # safetensors creates files for their owner only
        for path in scratch.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        if out.exists():
            raise OutputTakenError(
                f"{out} was created meanwhile: delete it and run the command again"
            )
        os.replace(scratch, out)


@contextmanager
def hold_folder(folder: Path, out: Path) -> Iterator[None]:
    """Create and lock a folder; the kernel ends the lock with the process, even a killed one."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputTakenError(
                f"another run for {out} is under way: wait until it ends, or choose another folder"
            ) from error
        yield
    finally:
        os.close(lock)
