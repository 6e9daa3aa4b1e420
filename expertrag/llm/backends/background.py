"""An event loop in a background thread, for streams that a caller must be able to cancel."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_POLL_S = 0.05  # how late a cancel or a deadline may be noticed while the server is silent


class Background:
    """Runs asynchronous streams for synchronous callers, in a thread until ``end``."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="model-server", daemon=True)
        self._thread.start()

    def run(self, open_stream: Callable[[], AsyncIterator[T]]) -> Running[T]:
        """Start to read a stream; its items are queued until they are consumed."""
        return Running(self._loop, open_stream)

    def start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine, and return its result to come."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Cancel what runs, run a last coroutine, and end the thread; does not wait for it."""
        self.start(self._end(last))

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _work(self) -> None:
        self._loop.run_forever()
        # what was started while it ended
        self._loop.run_until_complete(_cancel_all())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await _cancel_all()
            await last()
        finally:
            self._loop.stop()


async def _cancel_all() -> None:
    """Cancel all other tasks of the loop, also those that they start, and wait for their ends."""
    while others := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


class Running(Generic[T]):
    """A stream being read in the background."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, open_stream: Callable[[], AsyncIterator[T]]
    ) -> None:
        self._items: queue.SimpleQueue[T | Exception | None] = queue.SimpleQueue()
        self._open_stream = open_stream
        self._future = asyncio.run_coroutine_threadsafe(self._pump(), loop)

    def items(self, should_stop: Callable[[], None]) -> Iterator[T]:
        """Yield the items as they come, calling ``should_stop`` before each and while waiting.

        :raises Exception: whatever the stream raised.
        """
        while True:
            should_stop()
            try:
                item = self._items.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item

    def cancel(self) -> None:
        """Stop reading, which closes the connection; safe to call twice."""
        self._future.cancel()

    async def _pump(self) -> None:
        try:
            async for item in self._open_stream():
                self._items.put(item)
        except Exception as error:
            self._items.put(error)
        else:
            self._items.put(None)
