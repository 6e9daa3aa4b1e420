"""Replace what is served when its file changes, while requests use the old one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from expertrag.runtime.files import FileState, file_state

_RETRY_SECONDS = 30.0  # after a failed replacement


class HotSwap:
    """Watches a file at every request and runs a replacement when it has changed.

    A failed replacement is logged, and the old object keeps serving. The replacement is tried again
    when the file changes once more, or after 30 seconds: another file may have been the cause.
    Thread-safe; one thread replaces, the others keep using the old object.
    """

    def __init__(self, file: Path, what: str, replace: Callable[[], None]) -> None:
        """Record the file's state; load the first object after this.

        :param what: name in the log, such as "gate".
        :param replace: loads the new object and puts it in the place of the old one.
        """
        self._file = file
        self._replace = replace
        self._what = what
        self._lock = threading.Lock()
        self._seen = file_state(file)
        self._failed: FileState = None  # the state that could not be loaded
        self._retry_at = 0.0
        self._log = structlog.get_logger(f"expertrag.{what}")

    def follow(self, *, wait: bool = False) -> None:
        """Replace the object if the file has changed since the last replacement.

        :param wait: wait for a replacement that another thread is running.
        """
        if not self._is_due() or not self._lock.acquire(blocking=wait):
            return
        try:
            if self._is_due():
                self._run()
        # Loading may raise anything (a damaged file, CUDA out of memory); requests that the old
        # object can serve must not fail.
        except Exception as error:
            self._log.warning(f"{self._what} not replaced", error=str(error))
        finally:
            self._lock.release()

    def now(self) -> None:
        """Replace the object, whether or not the file has changed."""
        with self._lock:
            self._run()

    def _is_due(self) -> bool:
        state = file_state(self._file)
        if state == self._seen:
            return False
        return state != self._failed or time.monotonic() >= self._retry_at

    def _run(self) -> None:
        state = file_state(self._file)  # before it is read: it may change meanwhile
        try:
            self._replace()
        except Exception:
            self._failed, self._retry_at = state, time.monotonic() + _RETRY_SECONDS
            raise
        self._seen = state
