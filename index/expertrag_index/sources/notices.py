"""Learns from the operating system that something changed in folders (watchfiles)."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Generator, Sequence
from pathlib import Path

from watchfiles import watch
from watchfiles.main import FileChange

from expertrag_index.loaders.registry import SUFFIXES, suffix_of

TICK_S = 0.5


class FolderNotices:
    """Waits for changes in folders.

    Changes of hidden files, of files that no loader reads (what editors write next to a file), and
    in the store are ignored. If a folder is moved or replaced, it is watched again by its name.
    """

    def __init__(self, folders: Sequence[Path], store: Path, stop: threading.Event) -> None:
        self._folders = folders
        self._store = str(store.resolve())
        self._stop = stop
        self._watched: list[tuple[Path, tuple[int, int]]] = []
        self._changes: Generator[set[FileChange], None, None] | None = None
        self.problem = ""
        """Why changes are not noticed; empty if they are."""

    def wait(self) -> bool:
        """Wait for a change, at most ``TICK_S``; return whether there was one, or may have been."""
        present = [(folder, state) for folder in self._folders if (state := _identity(folder))]
        if self._changes is None or present != self._watched:
            if self._changes is not None:
                self._changes.close()
            self._watched = present
            self._changes = self._watch([folder for folder, _ in present])
            next(self._changes, None)  # from here on, changes are noticed
            return True
        changes = next(self._changes, set[FileChange]())
        return any(self._matters(path) for _, path in changes)

    def _watch(self, folders: Sequence[Path]) -> Generator[set[FileChange], None, None]:
        """Yield sets of changes, which may be empty, at least one per ``TICK_S``."""
        self.problem = ""
        try:
            if folders:
                yield from watch(
                    *folders,
                    watch_filter=None,
                    debounce=400,
                    step=100,
                    rust_timeout=int(TICK_S * 1000),
                    yield_on_timeout=True,
                    stop_event=self._stop,
                    ignore_permission_denied=True,
                )
        except (OSError, RuntimeError) as error:  # watchfiles wraps errors of limits in the second
            self.problem = str(error)
        while True:
            self._stop.wait(TICK_S)
            yield set()

    def _matters(self, path: str) -> bool:
        if path == self._store or path.startswith(self._store + os.sep):
            return False
        for folder in self._folders:
            if path.startswith(f"{folder}{os.sep}"):
                parts = Path(path).relative_to(folder).parts
                if any(part.startswith((".", "~$")) for part in parts):
                    return False
        return suffix_of(os.path.basename(path)) in SUFFIXES or not os.path.isfile(path)


def _identity(folder: Path) -> tuple[int, int] | None:
    """Return the device and inode of a folder, None if there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
