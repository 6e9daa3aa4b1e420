"""Move the events of an answer from the worker thread that makes them to an event loop.

A slow reader costs memory for its answer, and does not hold up the thread, which has a slot that
others wait for. Once ``CAPACITY`` events are queued, pieces of text are joined in the queue. Other
events are few; the thread waits only beyond ``MOST_EVENTS``. Pieces are also joined when they are
sent: a streamed message costs about 50 us of the loop's CPU, however short it is. So pieces that
come within ``FLUSH_S`` of the last batch are sent together, up to ``FLUSH_PIECES``. The first piece
is never delayed.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator

from expertrag.api.events import AnswerEvent, DeltaEvent
from expertrag.api.folding import join_deltas
from expertrag.runtime.panics import as_exception
from expertrag.runtime.stop import Stop

CAPACITY = 64
MOST_EVENTS = 8_192
"""More than the longest answer has: a citation of each of its tokens, and the rest."""
FLUSH_S = 0.02
FLUSH_PIECES = 8
RECHECK_S = 0.05
"""Interval at which a thread that waits for a slow reader checks whether to stop."""


class EventBridge:
    """Queue of one answer from a thread (``pump``) to an event loop (``async for``)."""

    def __init__(self, stop: Stop) -> None:
        """Bridge to the running loop; ``stop`` ends a thread that waits for the reader."""
        self._loop = asyncio.get_running_loop()
        self._stop = stop
        self._changed = threading.Condition()
        self._events: deque[AnswerEvent] = deque()
        self._ended = False
        self._error: Exception | None = None
        self._ready = asyncio.Event()  # events are queued
        self._urgent = asyncio.Event()  # send now, without waiting for more

    def pump(self, events: Iterator[AnswerEvent]) -> None:
        """Send all events, from a worker thread; their errors are raised in the reader."""
        error = None
        try:
            try:
                for event in events:
                    self._put(event)
            finally:
                close = getattr(events, "close", None)  # a generator frees its model state at once
                if close is not None:
                    close()
        except BaseException as raised:  # whatever it is, the reader waits for the end
            error = as_exception(raised)
        with self._changed:
            self._ended = True
            self._error = error
        self._notify()

    async def __aiter__(self) -> AsyncIterator[AnswerEvent]:
        """Yield the events in order, with adjacent pieces of text joined."""
        last = -FLUSH_S
        while True:
            await self._ready.wait()
            wait = last + FLUSH_S - self._loop.time()
            if wait > 0 and not self._urgent.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._urgent.wait()
            events, ended = self._take()
            last = self._loop.time()
            for event in _join_pieces(events):
                yield event
            if ended:
                if self._error is not None:
                    raise self._error
                return

    def _put(self, event: AnswerEvent) -> None:
        with self._changed:
            self._stop()
            if len(self._events) >= CAPACITY:
                last = self._events[-1]
                if isinstance(last, DeltaEvent) and isinstance(event, DeltaEvent):
                    self._events[-1] = join_deltas([last, event])
                    return
            while len(self._events) >= MOST_EVENTS:
                self._changed.wait(RECHECK_S)
                self._stop()
            self._events.append(event)
            first = len(self._events) == 1
        if first or self._is_urgent():
            self._notify()

    def _take(self) -> tuple[list[AnswerEvent], bool]:
        with self._changed:
            events = list(self._events)
            self._events.clear()
            self._ready.clear()
            self._urgent.clear()
            self._changed.notify()
            return events, self._ended

    def _is_urgent(self) -> bool:
        with self._changed:
            return (
                self._ended
                or len(self._events) >= FLUSH_PIECES
                or any(not isinstance(event, DeltaEvent) for event in self._events)
            )

    def _notify(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: there is no reader
            self._loop.call_soon_threadsafe(self._signal)

    def _signal(self) -> None:
        """Wake the reader, on the loop; the queue is inspected now, not at the notification."""
        if self._events or self._ended:
            self._ready.set()
            if self._is_urgent():
                self._urgent.set()


def _join_pieces(events: list[AnswerEvent]) -> Iterator[AnswerEvent]:
    deltas: list[DeltaEvent] = []
    for event in events:
        if isinstance(event, DeltaEvent):
            deltas.append(event)
            continue
        if deltas:
            yield join_deltas(deltas)
            deltas.clear()
        yield event
    if deltas:
        yield join_deltas(deltas)
