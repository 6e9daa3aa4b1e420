"""Append lines to a file that several processes write and that is rotated by size.

    log.jsonl      the newest lines
    log.jsonl.1    older ones, and so on up to ``backups``; the oldest file is dropped

Existing libraries do not fit. The standard library's ``RotatingFileHandler`` must not be shared by
processes, according to its documentation, and its buffered stream may write a long line in pieces.
``concurrent-log-handler`` takes a lock file around every record, so one stopped process stops all
others. Both print every failure to stderr, where we want one message.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

ROTATE_BYTES = 64 * 1024 * 1024
BACKUPS = 3
"""Number of older files that are kept; at 64 MiB each, about 300,000 decisions in all."""

_MODE = 0o600  # the log may hold questions


class Appender:
    """Appends to one file, which other processes may share. Thread-safe.

    A line is written by one ``write`` under O_APPEND, so lines of several processes do not
    interleave. A killed writer or a full disk may leave a line without its end. The next line then
    starts on a new line, so that only the torn one is lost.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = ROTATE_BYTES, backups: int = BACKUPS
    ) -> None:
        """Append to ``path``; the file is created by the first line."""
        self.path = path
        self._max_bytes = max_bytes
        self._backups = backups
        self._lock = threading.Lock()
        self._descriptor = -1

    def check(self) -> None:
        """Create the folder and the file now; it is not kept open.

        :raises OSError: if they cannot be created, or the path is not a regular file.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._follow()
            self._close()

    def append(self, line: bytes, *, durably: bool = False) -> None:
        """Append one line, given without the newline.

        :param durably: return once it survives a power failure; a killed process never loses it.
        :raises OSError: if it was not written, or only in part.
        """
        with self._lock:
            size = self._follow()
            if size and size + len(line) > self._max_bytes:
                self._rotate()
                size = self._follow()
            data = line + b"\n"
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                data = b"\n" + data
            if os.write(self._descriptor, data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            if durably:
                os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; the next line reopens it."""
        with self._lock:
            self._close()

    def _follow(self) -> int:
        """Open the file that the path names now, if it has changed; return its size in bytes."""
        if self._descriptor >= 0:
            if self._is_current():
                return os.fstat(self._descriptor).st_size
            self._close()
        # non-blocking: a pipe without a reader would block the answer
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, _MODE)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", str(self.path))
        self._descriptor = descriptor
        return status.st_size

    def _is_current(self) -> bool:
        """Return whether the open file is still at the path, not rotated or deleted."""
        try:
            current = os.stat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(current, os.fstat(self._descriptor))

    def _rotate(self) -> None:
        """Rotate the file, unless another process is doing or has done so.

        The lock is on the file that is moved, and the path gets a new file only after all moves.
        So a process with the new file open cannot rotate before the moves are done. A line that
        another process writes meanwhile goes to the moved file, complete.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process rotates: this line goes to the file that is open
        try:
            if self._is_current():
                names = [self.path, *older(self.path, self._backups)]
                for newer, to in zip(reversed(names[:-1]), reversed(names[1:]), strict=True):
                    if newer.exists():
                        newer.replace(to)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def older(path: Path, backups: int = BACKUPS) -> list[Path]:
    """Return the paths of a log's older files, newest first."""
    return [path.with_name(f"{path.name}.{number}") for number in range(1, backups + 1)]
