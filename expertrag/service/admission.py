"""Admission control: some calls run, a few wait, the rest is rejected with a retry delay."""

from __future__ import annotations

import asyncio
import time

from expertrag.api.errors import Overloaded

MIN_RETRY_S = 0.1
SMOOTHING = 0.2
"""Weight of the newest call in the moving mean of durations: about the last ten calls."""


class Admission:
    """A semaphore with a short bounded queue; use it on one event loop."""

    def __init__(self, limit: int, queue_depth: int) -> None:
        """Let ``limit`` calls run and ``queue_depth`` calls wait at a time."""
        self._limit = limit
        self._queue_depth = queue_depth
        self._slots = asyncio.Semaphore(limit)
        self._mean_s = 0.0
        self.running = 0
        self.waiting = 0

    async def acquire(self) -> Slot:
        """Wait for a slot.

        :raises Overloaded: immediately, if the queue is full.
        """
        if self._slots.locked() and self.waiting >= self._queue_depth:
            retry_after_s = max(MIN_RETRY_S, self._mean_s * (1 + self.waiting / self._limit))
            raise Overloaded(
                f"the server is busy: {self.running} calls running, {self.waiting} waiting; "
                f"retry in {retry_after_s:.1f} s",
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
    """Permission to run; release it exactly once."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._taken_at = time.monotonic()

    def release(self) -> None:
        """Let the next call run."""
        self._admission.leave(time.monotonic() - self._taken_at)
