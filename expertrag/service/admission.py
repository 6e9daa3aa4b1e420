"""Admits calls: some run, a few wait, the rest is refused at once with a time to come back."""

from __future__ import annotations

import asyncio
import time

from expertrag.api.errors import Overloaded

MIN_RETRY_S = 0.1
SMOOTHING = 0.2
"""Weight of the newest call in the mean duration; about the last ten calls count."""


class Admission:
    """A semaphore with a short bounded queue; used on one event loop."""

    def __init__(self, limit: int, queue_depth: int) -> None:
        """Let ``limit`` calls run at a time and ``queue_depth`` wait."""
        self._limit = limit
        self._queue_depth = queue_depth
        self._slots = asyncio.Semaphore(limit)
        self._mean_s = 0.0
        self.running = 0
        self.waiting = 0

    async def acquire(self) -> Slot:
        """Wait for a slot.

        :raises Overloaded: at once, when the queue is full.
        """
        if self._slots.locked() and self.waiting >= self._queue_depth:
            retry_after_s = max(MIN_RETRY_S, self._mean_s * (1 + self.waiting / self._limit))
            raise Overloaded(
                f"the server is busy: {self.running} calls run and {self.waiting} wait; "
                f"try again in {retry_after_s:.1f} s",
                reason="OVERLOADED",
                retry_after_s=retry_after_s,
            )
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1
        self.running += 1
        return Slot(self)

    def leave(self, seconds: float) -> None:
        """Free a slot that was held for ``seconds``."""
        self.running -= 1
        self._mean_s += SMOOTHING * (seconds - self._mean_s)
        self._slots.release()


class Slot:
    """The right to run; give it back once."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._taken_at = time.monotonic()

    def release(self) -> None:
        """Let the next call run."""
        self._admission.leave(time.monotonic() - self._taken_at)
