"""Runs a process and records every change that it makes to the files of a folder.

The recorder (``recorder.c``) is loaded before the C library, so that the store itself needs no
hook, and SQLite's own writes are recorded like all others.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_HEADER = struct.Struct("<B7xQQIII4x")
_SOURCE = Path(__file__).with_name("recorder.c")


class DiskCall(IntEnum):
    """What a call changes; the numbers are those of ``recorder.c``."""

    CREATE = 1
    MAKE_FOLDER = 2
    WRITE = 3
    TRUNCATE = 4
    SYNC = 5
    RENAME = 6
    REMOVE = 7
    EXCHANGE = 8


@dataclass(frozen=True, slots=True)
class FileCall:
    """A call that changed a file or a name, or made it durable.

    ``path`` and ``target`` (of a rename or an exchange) are relative to the recorded folder.
    ``offset``: where ``data`` was written, or the size after a truncation.
    """

    call: DiskCall
    path: str
    target: str = ""
    inode: int = 0
    offset: int = 0
    data: bytes = b""

    def __str__(self) -> str:
        detail = f" -> {self.target}" if self.target else ""
        size = f" {len(self.data)} bytes at {self.offset}" if self.call is DiskCall.WRITE else ""
        return f"{self.call.name.lower()} {self.path}{detail}{size}"


def compiled(folder: Path) -> Path:
    """Compile the recorder into a folder, unless it is there.

    :raises RuntimeError: there is no C compiler.
    """
    library = folder / "recorder.so"
    if library.exists():
        return library
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise RuntimeError("no C compiler: install cc, or name one in CC")
    command = [compiler, "-shared", "-fPIC", "-O1", str(_SOURCE), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True)
    return library


def record(arguments: Sequence[str], folder: Path, work: Path) -> list[FileCall]:
    """Run a Python script until it ends or kills itself; return what it changed in ``folder``.

    :param arguments: the script and its arguments.
    :param work: folder for the recorder and its log, outside of ``folder``.
    :raises subprocess.CalledProcessError: the script failed.
    """
    log = work / "log"
    log.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "LD_PRELOAD": str(compiled(work)),
        "RECORD_FOLDER": str(folder.resolve()),
        "RECORD_LOG": str(log),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run([sys.executable, *arguments], env=environment, check=False)
    if done.returncode != -signal.SIGKILL:
        done.check_returncode()
    return list(_parsed(log.read_bytes(), str(folder.resolve())))


def _parsed(log: bytes, folder: str) -> Iterator[FileCall]:
    place = 0

    def text(size: int) -> str:
        nonlocal place
        place += size
        return log[place - size : place].decode().removeprefix(folder).removeprefix("/")

    while place < len(log):
        call, inode, offset, path, target, data = _HEADER.unpack_from(log, place)
        place += _HEADER.size
        names = text(path), text(target)
        place += data
        yield FileCall(DiskCall(call), *names, inode, offset, log[place - data : place])
