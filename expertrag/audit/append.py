"""Appends lines to a file that several processes write and that is rotated by size.

    log.jsonl      the newest lines
    log.jsonl.1    older ones, and so on up to ``kept``; the oldest is given up

Kept libraries do not fit. The standard library's ``RotatingFileHandler`` must not be shared by
processes, its own documentation says, and its buffered stream may write a long line in pieces;
``concurrent-log-handler`` takes a lock file around every record, so that one stopped process stops
all the others; both print a failure to stderr for every line, where we want it told once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from pathlib import Path

ROTATE_BYTES = 64 * 1024 * 1024
KEPT = 3
"""Older files beside the newest; with 64 MiB each, some 300,000 decisions in all."""

_MODE = 0o600  # questions may stand in it


class Appender:
    """One file, as one process sees it. Thread-safe.

    A line goes out in one ``write`` under O_APPEND, which no other process can come between. A
    writer that was killed, or a disk that was full, may leave a line without its end: the next
    line starts on a line of its own, so that only the torn one is lost.
    """

    def __init__(self, path: Path, *, max_bytes: int = ROTATE_BYTES, kept: int = KEPT) -> None:
        """Take a path; the file is made by the first line."""
        self.path = path
        self._max_bytes = max_bytes
        self._kept = kept
        self._lock = threading.Lock()
        self._descriptor = -1

    def check(self) -> None:
        """Make the folder and the file now; it is not kept open.

        :raises OSError: they cannot be made, or the path is no regular file.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._lock:
            self._follow()
            self._close()

    def append(self, line: bytes, *, durably: bool = False) -> None:
        """Append one line, given without its end.

        :param durably: return when it would survive a power cut; a killed process never matters.
        :raises OSError: it was not written, or only in part.
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
        """Close the file; a later line opens it again."""
        with self._lock:
            self._close()

    def _follow(self) -> int:
        """Have the file open that the path names now; return its size in bytes."""
        if self._descriptor >= 0:
            if self._is_current():
                return os.fstat(self._descriptor).st_size
            self._close()
        # not blocking: a pipe without a reader would hold up the answer
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.path, flags, _MODE)
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file", str(self.path))
        self._descriptor = descriptor
        return found.st_size

    def _is_current(self) -> bool:
        """Whether no process has rotated the file away, nor anyone deleted it."""
        try:
            named = os.stat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))

    def _rotate(self) -> None:
        """Move the file aside, unless another process does or did so.

        The lock is on the file that is moved, and the path is given a new file only after all
        moves, so that whoever has the new one open cannot rotate before they are done. A line
        that another process writes meanwhile lands in the moved file, whole.
        """
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # another process is at it: this line goes to whichever file is open
        try:
            if self._is_current():
                names = [self.path, *older(self.path, self._kept)]
                for newer, to in zip(reversed(names[:-1]), reversed(names[1:]), strict=True):
                    if newer.exists():
                        newer.replace(to)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def older(path: Path, kept: int = KEPT) -> list[Path]:
    """Where the older files of a log are, from the newest to the oldest."""
    return [path.with_name(f"{path.name}.{number}") for number in range(1, kept + 1)]
