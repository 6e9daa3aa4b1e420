"""Admission control: some calls run, a few wait, the rest is rejected with a retry delay.

Callers take turns. A free slot goes to the caller that has waited longest since its last turn. So
one with many calls does not hold up the others. A call that would wait longer than its deadline
allows, or than a call takes, is rejected at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque

from expertrag.api.errors import Overloaded

MIN_RETRY_S = 0.1
LEAST_WAIT_S = 0.25
"""A wait that is never too long, however short the calls are."""
SMOOTHING = 0.2
"""Weight of the newest call in the moving mean of durations: about the last ten calls."""

_Waiter = asyncio.Future[None]


class Admission:
    """Slots with a short bounded queue per caller; use it on one event loop."""

    def __init__(self, limit: int, queue_depth: int, *, patient: bool = False) -> None:
        """Let ``limit`` calls run and ``queue_depth`` calls wait at a time.

        :param patient: let calls wait for longer than one takes.
        """
        self._limit = limit
        self._patient = patient
        self._queue_depth = queue_depth
        self._queues: OrderedDict[str, deque[_Waiter]] = OrderedDict()  # in order of turns
        self._mean_s = 0.0
        self.running = 0
        self.waiting = 0

    async def acquire(self, caller: str = "", remaining_s: float | None = None) -> Slot:
        """Wait for a slot.

        :param caller: whose turn it is; all calls with the same name share one.
        :param remaining_s: seconds until the call's deadline; None for no deadline.
        :raises Overloaded: immediately, if the queue is full or the wait too long; also later, if
            callers with fewer waiting calls need the place.
        """
        if self.running < self._limit and not self.waiting:
            self.running += 1
            return Slot(self)
        self._check_wait(caller, remaining_s)
        if self.waiting >= self._queue_depth:
            self._make_place(caller)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._queues.setdefault(caller, deque()).append(waiter)
        self.waiting += 1
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on()  # cancelled just when it got the slot
            else:
                self._forget(caller, waiter)
            raise
        return Slot(self)

    def leave(self, seconds: float) -> None:
        """Free a slot that was held for ``seconds``."""
        self._mean_s += SMOOTHING * (seconds - self._mean_s)
        self._pass_on()

    def _pass_on(self) -> None:
        """Give a slot that is free to the next caller in turn."""
        self.running -= 1
        while self._queues:
            caller, queue = self._queues.popitem(last=False)
            waiter = queue.popleft()
            self.waiting -= 1
            if queue:
                self._queues[caller] = queue  # the last in turn
            if not waiter.done():
                self.running += 1
                waiter.set_result(None)
                return

    def _forget(self, caller: str, waiter: _Waiter) -> None:
        queue = self._queues.get(caller)
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
            if not queue:
                del self._queues[caller]

    def _check_wait(self, caller: str, remaining_s: float | None) -> None:
        # Callers take turns: of each other one, no more calls go first than this one will have.
        own = len(self._queues.get(caller, ())) + 1
        sooner = sum(min(len(q), own) for name, q in self._queues.items() if name != caller)
        wait_s = self._mean_s * (own + sooner) / self._limit
        too_long = wait_s > max(LEAST_WAIT_S, self._mean_s) and not self._patient
        if too_long or (remaining_s is not None and wait_s > remaining_s):
            raise self._busy()

    def _make_place(self, caller: str) -> None:
        """Reject the newest call of the caller with the most, unless that is this one."""
        own = len(self._queues.get(caller, ()))
        greedy, queue = max(self._queues.items(), key=lambda item: len(item[1]), default=("", ()))
        if not isinstance(queue, deque) or len(queue) <= own + 1:
            raise self._busy()
        rejected = queue[-1]
        self._forget(greedy, rejected)
        rejected.set_exception(self._busy())

    def _busy(self) -> Overloaded:
        retry_after_s = max(MIN_RETRY_S, self._mean_s * (1 + self.waiting / self._limit))
        return Overloaded(
            f"the server is busy: {self.running} calls running, {self.waiting} waiting; "
            f"retry in {retry_after_s:.1f} s",
            reason="OVERLOADED",
            retry_after_s=retry_after_s,
        )


class Slot:
    """Permission to run; release it exactly once."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._taken_at = time.monotonic()

    def release(self) -> None:
        """Let the next call run."""
        self._admission.leave(time.monotonic() - self._taken_at)
