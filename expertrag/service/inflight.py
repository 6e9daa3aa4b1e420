"""Bounds the memory of requests: messages that are being received, and those that are held.

gRPC receives the messages of all calls at once, 8 MiB each. A call therefore waits for a place to
receive; small messages, which come with the call, hold it for microseconds. A sender that stalls
loses the place after ``RECEIVE_S``, and a caller has only some of the places, so that its stalled
calls delay its own alone.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from expertrag.api.errors import Overloaded

RECEIVING = 32
"""Messages that are received at a time."""
RECEIVING_EACH = 8
"""Messages of one caller that are received at a time."""
RECEIVE_S = 1.0
MOST_BYTES = 256 * 1024 * 1024
_RETRY_S = 1.0


class InFlight:
    """The requests of a server; use it on one event loop."""

    def __init__(
        self, most_bytes: int = MOST_BYTES, *, each: int | None = None, seconds: float | None = None
    ) -> None:
        """Hold requests of ``most_bytes`` together.

        :param each: places of one caller; None for ``RECEIVING_EACH``.
        :param seconds: until a stalled sender loses its place; None for ``RECEIVE_S``.
        """
        self._most = most_bytes
        self._each = each or RECEIVING_EACH
        self._seconds = seconds or RECEIVE_S
        self._places = asyncio.Semaphore(RECEIVING)
        # those of each caller that has or awaits a place
        self._own: weakref.WeakValueDictionary[str, asyncio.Semaphore] = (
            weakref.WeakValueDictionary()
        )
        self.bytes = 0

    async def receive(self, caller: str = "") -> Callable[[], None]:
        """Wait for a place; return what frees it, once, unless its time is over.

        :param caller: whose message it is.
        """
        if (own := self._own.get(caller)) is None:
            self._own[caller] = own = asyncio.Semaphore(self._each)
        await own.acquire()
        try:
            await self._places.acquire()
        except BaseException:
            own.release()
            raise

        def release() -> None:
            own.release()
            self._places.release()

        timer = asyncio.get_running_loop().call_later(self._seconds, release)

        def free() -> None:
            if not timer.cancelled() and timer.when() > asyncio.get_running_loop().time():
                timer.cancel()
                release()

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
