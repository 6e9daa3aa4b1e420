"""Allows one writer at a time, by flock: the kernel releases the lock when the process ends."""

from __future__ import annotations

import fcntl
import os

from expertrag_index.errors import StoreLockedError
from expertrag_index.layout import Layout


class WriterLock:
    """The store's writer lock, held from construction to ``release``.

    :raises StoreLockedError: another writer holds it.
    """

    def __init__(self, layout: Layout) -> None:
        self._descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise StoreLockedError(
                f"another process is writing to {layout.root} (lock file {layout.lock}): "
                "wait until it ends"
            ) from error

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
