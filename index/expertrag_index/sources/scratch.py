"""A folder for fetched files, until they have been read."""

from __future__ import annotations

import itertools
import tempfile
from collections import deque
from pathlib import Path

_KEPT = 32  # above the number of files that are read at the same time


class Scratch:
    """A temporary folder, which is deleted at the end of the block."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="expertrag-")
        self._numbers = itertools.count()
        self._kept: deque[Path] = deque()

    def __enter__(self) -> Scratch:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def put(self, data: bytes, suffix: str) -> Path:
        """Write a file, which is kept to the end."""
        path = self._next(suffix)
        path.write_bytes(data)
        return path

    def passing(self, suffix: str) -> Path:
        """Return the path of a file to write and read at once; older ones are deleted."""
        path = self._next(suffix)
        self._kept.append(path)
        if len(self._kept) > _KEPT:
            self._kept.popleft().unlink(missing_ok=True)
        return path

    def _next(self, suffix: str) -> Path:
        return Path(self._folder.name) / f"{next(self._numbers)}{suffix}"
