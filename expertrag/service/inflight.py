"""Bounds the memory of requests: messages that are being received, and those that are held.

gRPC receives the messages of all calls at once, 8 MiB each. A call therefore waits for a place to
receive; small messages, which come with the call, hold it for microseconds. A sender that stalls
loses the place after ``RECEIVE_S``, so that it delays others by no more than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from expertrag.api.errors import Overloaded

RECEIVING = 32
"""Messages that are received at a time."""
RECEIVE_S = 1.0
MOST_BYTES = 256 * 1024 * 1024
_RETRY_S = 1.0


class InFlight:
    """The requests of a server; use it on one event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Hold requests of ``most_bytes`` together."""
        self._most = most_bytes
        self._places = asyncio.Semaphore(RECEIVING)
        self.bytes = 0

    async def receive(self) -> Callable[[], None]:
        """Wait for a place; return what frees it, once, before ``RECEIVE_S`` are over."""
        await self._places.acquire()
        timer = asyncio.get_running_loop().call_later(RECEIVE_S, self._places.release)

        def free() -> None:
            if not timer.cancelled() and timer.when() > asyncio.get_running_loop().time():
                timer.cancel()
                self._places.release()

        return free

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold a request of ``size`` bytes for the block.

        :raises Overloaded: the requests would have too many bytes together.
        """
        if self.bytes + size > self._most:
            raise Overloaded(
                f"the server holds requests of {self.bytes:,} bytes; retry in {_RETRY_S:g} s",
                reason="OVERLOADED",
                retry_after_s=_RETRY_S,
            )
        self.bytes += size
        try:
            yield
        finally:
            self.bytes -= size
