"""Deadlines and cancellation of work in threads."""

from __future__ import annotations

import threading
import time

from expertrag.api.errors import Cancelled, DeadlineExceeded


class Stop:
    """The ``ShouldStop`` of one request; called between stages and decode steps.

    A deadline or a cancel ends a coroutine, but not its worker thread, so the work has to poll.
    Thread-safe.
    """

    def __init__(self, seconds: float | None = None) -> None:
        """Start the clock; None means no deadline."""
        self._seconds = seconds
        self._ends_at = None if seconds is None else time.monotonic() + seconds
        self._cancelled = threading.Event()

    def __call__(self) -> None:
        """Return if the work may continue.

        :raises Cancelled: once ``cancel`` was called.
        :raises DeadlineExceeded: once the time is up.
        """
        if self._cancelled.is_set():
            raise Cancelled("the caller cancelled")
        remaining = self.remaining()
        if remaining is not None and remaining <= 0:
            raise self.deadline_error()

    def cancel(self) -> None:
        """Make the next call raise; safe to call twice and from any thread."""
        self._cancelled.set()

    def remaining(self) -> float | None:
        """Return the seconds until the deadline, negative once it has passed; None without one."""
        return None if self._ends_at is None else self._ends_at - time.monotonic()

    def deadline_error(self) -> DeadlineExceeded:
        """Return the error for a missed deadline."""
        return DeadlineExceeded(
            f"not done within {self._seconds or 0:.3g} s; allow more time or ask for less"
        )
