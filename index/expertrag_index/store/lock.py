"""Allows one writer at a time, by flock: the kernel releases the lock when the process ends."""

from __future__ import annotations

import fcntl
import os
import time

from expertrag_index.errors import StoreLockedError
from expertrag_index.store.layout import Layout

_POLL_S = 0.05


class WriterLock:
    """The store's writer lock, held from construction to ``release``.

    :param wait_s: seconds to wait for another writer.
    :raises StoreLockedError: another writer holds it.
    """

    def __init__(self, layout: Layout, wait_s: float = 0.0) -> None:
        self._path = layout.lock
        self._descriptor = self._open()
        ends_at = time.monotonic() + wait_s
        while not self._try_take():
            if time.monotonic() >= ends_at:
                self.release()
                waited = f" after {wait_s:g} s" if wait_s else ""
                raise StoreLockedError(
                    f"another process is still writing to {layout.root}{waited} (lock file "
                    f"{layout.lock}): wait until it ends"
                )
            time.sleep(_POLL_S)

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def _try_take(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._is_current():
            return True
        self.release()  # a restore has replaced the whole store, with its lock file
        self._descriptor = self._open()
        return False

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()
