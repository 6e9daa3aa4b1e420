"""A server over gRPC, in the thread of the caller: ``remote`` over a channel that blocks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from functools import cached_property
from typing import Any

import grpc

from expertrag.api.errors import Cancelled
from expertrag.client.blocking import iterate, run_here
from expertrag.client.channel import Stubs
from expertrag.client.connection import Connection
from expertrag.client.remote import RemoteBackend


class BlockingRemoteBackend(RemoteBackend):
    """A ``RemoteBackend`` whose coroutines never suspend. Thread-safe."""

    def __init__(self, connection: Connection) -> None:
        """Take the argument of ``RemoteBackend``, and raise its errors."""
        super().__init__(connection)
        self._stubs = Stubs(self._channel)  # before threads share it

    @cached_property
    def _channel(self) -> BlockingChannel:
        return BlockingChannel(self._open(grpc))

    async def _sleep(self, seconds: float) -> None:
        await run_here(time.sleep, seconds)


class BlockingChannel:
    """A channel with the interface of ``grpc.aio.Channel``, as far as the client uses it."""

    def __init__(self, channel: grpc.Channel) -> None:
        """Send calls over ``channel``; an await of one blocks until it is done."""
        self._channel: Any = channel

    async def close(self) -> None:
        """Cancel running calls and disconnect."""
        self._channel.close()

    def unary_unary(self, path: str, **codec: Any) -> Callable[..., Awaitable[Any]]:
        """Return a method that sends a message and returns one."""
        method = self._channel.unary_unary(path, **codec)

        async def send(message: Any, **options: Any) -> Any:
            return method(message, **options)

        return send

    def unary_stream(self, path: str, **codec: Any) -> Callable[..., _Responses]:
        """Return a method that sends a message and returns several."""
        method = self._channel.unary_stream(path, **codec)
        return lambda message, **options: _Responses(method(message, **options))

    def stream_unary(self, path: str, **codec: Any) -> Callable[..., Awaitable[Any]]:
        """Return a method that sends several messages and returns one."""
        method = self._channel.stream_unary(path, **codec)

        async def send(messages: AsyncIterator[Any], **options: Any) -> Any:
            return _upload(method, messages, options)

        return send


class _Responses:
    """The responses of a call, one by one."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.cancel = call.cancel

    def __aiter__(self) -> _Responses:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self._call)
        except StopIteration:
            raise StopAsyncIteration from None


def _upload(method: Any, messages: AsyncIterator[Any], options: dict[str, Any]) -> Any:
    """Send messages, which gRPC reads in a thread of its own.

    :raises Cancelled: reading them failed.
    """
    started: Future[Any] = Future()

    def read() -> Iterator[Any]:
        try:
            yield from iterate(messages)
        except Exception:  # gRPC would only log it, and wait for more
            started.result().cancel()

    call = method.future(read(), **options)
    started.set_result(call)
    try:
        return call.result()
    except grpc.FutureCancelledError:
        raise Cancelled("the call was cancelled") from None
