"""Remembers responses to writes by the caller's key, so that a repeated call changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from expertrag.api.errors import Conflict
from expertrag.api.types import UpdateReport
from expertrag.api.validation import invalid

KEPT_S = 3600.0
MOST_KEY = 64
_MOST_BYTES = 16 * 1024 * 1024
_LEAST_BYTES = 1024
_ITEM_BYTES = 64


class KeyScope(NamedTuple):
    """Keys of different scopes never meet."""

    collection: str
    """The collection's own key: all names that a caller has for it are one scope."""
    method: str
    caller: str


@dataclass(slots=True)
class _Kept:
    response: asyncio.Future[UpdateReport]
    at: float
    size: int = _LEAST_BYTES
    digest: bytes = b""


class Responses:
    """The responses of the last hour, in memory; use it on one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[KeyScope, str], _Kept] = OrderedDict()
        self._bytes = 0

    async def once(
        self,
        scope: KeyScope,
        key: str,
        make: Callable[[], Awaitable[UpdateReport]],
        digest: Callable[[], Awaitable[bytes]],
    ) -> UpdateReport:
        """Return the response of ``make``, or of the earlier call with this key.

        A failed call is forgotten, so that its repetition runs; a running one is waited for.

        :param digest: returns a digest of what the call writes; it is called after ``make``, or
            instead of it.
        :raises InvalidArgument: the key is too long.
        :raises Conflict: the earlier call wrote something else.
        """
        if not key:
            return await make()
        if len(key) > MOST_KEY:
            raise invalid("idempotency_key", f"is longer than {MOST_KEY} characters; shorten it")
        name = (scope, key)
        self._drop_old()
        while (known := self._kept.get(name)) is not None:
            await asyncio.wait([known.response])
            if not known.response.cancelled() and known.response.exception() is None:
                if await digest() != known.digest:
                    raise _reuse_error()
                return known.response.result()
        return await self._make(name, make, digest)

    def forget(self, collection: str) -> None:
        """Forget the responses of a collection that was dropped."""
        for name, kept in list(self._kept.items()):
            if name[0].collection == collection and kept.response.done():
                self._remove(name)

    async def _make(
        self,
        name: tuple[KeyScope, str],
        make: Callable[[], Awaitable[UpdateReport]],
        digest: Callable[[], Awaitable[bytes]],
    ) -> UpdateReport:
        own = _Kept(asyncio.get_running_loop().create_future(), time.monotonic())
        self._kept[name] = own
        self._bytes += own.size
        try:
            response = await make()
            own.digest = await digest()
        except BaseException:
            self._remove(name)
            own.response.cancel()
            raise
        own.response.set_result(response)
        added = _size_of(response)
        own.size += added
        self._bytes += added
        return response

    def _drop_old(self) -> None:
        now = time.monotonic()
        for name, kept in list(self._kept.items()):
            if now - kept.at < KEPT_S and self._bytes <= _MOST_BYTES:
                return
            if kept.response.done():
                self._remove(name)

    def _remove(self, name: tuple[KeyScope, str]) -> None:
        self._bytes -= self._kept.pop(name).size


def _size_of(report: UpdateReport) -> int:
    """Return about the bytes of memory that a report takes beyond ``_LEAST_BYTES``."""
    return sum(_ITEM_BYTES + len(item.id) + len(item.error) for item in report.items)


def _reuse_error() -> Conflict:
    return Conflict(
        "idempotency_key: was used for other documents within the last hour; nothing was changed: "
        "send a new key with each new write, the same key only to repeat one",
        reason="IDEMPOTENCY_KEY_REUSED",
        metadata={"field": "idempotency_key"},
    )
