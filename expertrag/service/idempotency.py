"""Remembers responses to writes by the caller's key, so that a repeated call changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from expertrag.api.validation import invalid

KEPT_S = 3600.0
MOST_KEY = 64
_MOST_BYTES = 16 * 1024 * 1024
_LEAST_BYTES = 1024

M = TypeVar("M", bound=Message)


@dataclass(slots=True)
class _Kept:
    response: asyncio.Future[Any]
    at: float
    size: int = _LEAST_BYTES


class Responses:
    """The responses of the last hour, in memory; use it on one event loop."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, ...], _Kept] = OrderedDict()
        self._bytes = 0

    async def once(self, scope: tuple[str, ...], key: str, make: Callable[[], Awaitable[M]]) -> M:
        """Return the response of ``make``, or of the earlier call with this key.

        A failed call is forgotten, so that its repetition runs; a running one is waited for.

        :param scope: who calls what; keys of different scopes never meet.
        :raises InvalidArgument: the key is too long.
        """
        if not key:
            return await make()
        if len(key) > MOST_KEY:
            raise invalid("idempotency_key", f"is longer than {MOST_KEY} characters; shorten it")
        name = (*scope, key)
        self._drop_old()
        while (known := self._kept.get(name)) is not None:
            await asyncio.wait([known.response])
            if not known.response.cancelled() and known.response.exception() is None:
                response: M = known.response.result()
                return response
        own = _Kept(asyncio.get_running_loop().create_future(), time.monotonic())
        self._kept[name] = own
        self._bytes += own.size
        try:
            response = await make()
        except BaseException:
            del self._kept[name]
            self._bytes -= own.size
            own.response.cancel()
            raise
        own.response.set_result(response)
        added = response.ByteSize()
        own.size += added
        self._bytes += added
        return response

    def _drop_old(self) -> None:
        now = time.monotonic()
        for name, kept in list(self._kept.items()):
            if now - kept.at < KEPT_S and self._bytes <= _MOST_BYTES:
                return
            if kept.response.done():
                del self._kept[name]
                self._bytes -= kept.size
