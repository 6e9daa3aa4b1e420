"""Bounds the memory of requests: messages that are being received, and those that are held.

gRPC receives the messages of all calls at once, 8 MiB each. A call therefore waits for a place to
receive; small messages, which come with the call, hold it for microseconds. Callers take turns, a
caller has only some of the places, and a sender that stalls loses its place after ``RECEIVE_S``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakValueDictionary

from expertrag.api.errors import DeadlineExceeded, Overloaded
from expertrag.serving.core.admission import Admission, Slot

RECEIVING = 16
"""Messages that are received at a time."""
RECEIVING_EACH = 8
"""Messages of one caller that are received at a time."""
RECEIVE_S = 1.0
MESSAGE_S = 30.0
"""Time for the message of a call."""
MOST_BYTES = 256 * 1024 * 1024
_MOST_WAITING = 10_000
_RETRY_S = 1.0

T = TypeVar("T")


@dataclass(slots=True)
class _Held:
    """Bytes of the requests that a server holds, and their limit."""

    most: int
    bytes: int = 0


class InFlight:
    """The requests of a server; use it on one event loop."""

    def __init__(
        self,
        most_bytes: int = MOST_BYTES,
        *,
        each: int | None = None,
        seconds: float | None = None,
        sibling: InFlight | None = None,
    ) -> None:
        """Hold requests of ``most_bytes`` together.

        :param each: places of one caller; None for ``RECEIVING_EACH``.
        :param seconds: until a stalled sender loses its place; None for ``RECEIVE_S``.
        :param sibling: requests of another door, which share the limit of bytes, but no place.
        """
        self._held: _Held = sibling._held if sibling else _Held(most_bytes)
        self._each = each or RECEIVING_EACH
        self._seconds = seconds or RECEIVE_S
        self._places = Admission(RECEIVING, _MOST_WAITING, patient=True)
        # the places of each caller that has or awaits one
        self._own: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    @property
    def bytes(self) -> int:
        """Bytes that are held, at all doors that share the limit."""
        return self._held.bytes

    async def receive(self, caller: str, read: Callable[[], Awaitable[T]]) -> T:
        """Wait for a place, and then for the message of a call.

        :param caller: whose turn it is.
        :param read: reads the message.
        :raises DeadlineExceeded: the message does not come.
        """
        if (own := self._own.get(caller)) is None:
            self._own[caller] = own = asyncio.Semaphore(self._each)
        await own.acquire()
        try:
            place = [await self._places.acquire(caller)]
        except BaseException:
            own.release()
            raise
        timer = asyncio.get_running_loop().call_later(self._seconds, _free, place, own)
        try:
            async with asyncio.timeout(MESSAGE_S):
                return await read()
        except TimeoutError:
            raise DeadlineExceeded(
                f"the message of the call did not arrive within {MESSAGE_S:g} s; send it at once"
            ) from None
        finally:
            timer.cancel()
            _free(place, own)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold a request of ``size`` bytes for the block.

        :raises Overloaded: the requests would have too many bytes together.
        """
        held = self._held
        if held.bytes + size > held.most:
            raise Overloaded(
                f"the server holds requests of {held.bytes:,} bytes; retry in {_RETRY_S:g} s",
                reason="OVERLOADED",
                retry_after_s=_RETRY_S,
            )
        held.bytes += size
        try:
            yield
        finally:
            held.bytes -= size


def _free(place: list[Slot], own: asyncio.Semaphore) -> None:
    """Free a place, unless it was lost already."""
    if place:
        place.pop().release()
        own.release()
