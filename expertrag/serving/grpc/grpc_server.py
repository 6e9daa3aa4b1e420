"""A gRPC server that goes on after a request whose method name is not UTF-8.

The loop of grpc.aio that accepts calls decodes the names of methods that are not registered. It
ends at one that it cannot decode (grpcio 1.85.3). A single request, without a token, would end the
server. All methods of this server are registered, so that a call of any other is refused here,
before its name is decoded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import grpc
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # has no types

_SMALL_WINDOW = ("grpc.http2.bdp_probe", 0)
"""Receives 64 KiB of a message until the call asks for it (``InFlight``); else up to all of it."""

ClientGone: type[Exception] = cygrpc.ExecuteBatchError
"""Raised where something is sent to a client that has gone."""

_REGISTERS = hasattr(cygrpc.AioServer, "_request_registered_call")
"""Whether this grpcio accepts registered methods apart; the others decode names in each call."""


class _Accepting(cygrpc.AioServer):  # type: ignore[misc]
    """Accepts the calls of a server."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *others: Any) -> None:
        super().__init__(loop, *others)
        self._own_loop = loop
        self._refusals: set[asyncio.Task[None]] = set()  # a loop holds its tasks weakly

    async def _request_call(self) -> Any:
        """Refuse the calls of methods that are not registered; return none of them."""
        while True:
            call = await super()._request_call()
            task = self._own_loop.create_task(self._refuse(call))
            self._refusals.add(task)
            task.add_done_callback(self._refusals.discard)

    async def _refuse(self, call: Any) -> None:
        context = cygrpc._ServicerContext(call, None, None, self._own_loop)
        with suppress(Exception):  # ``abort`` always raises, also when the client has gone
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")


def grpc_server(
    interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, Any]]
) -> grpc.aio.Server:
    """Make a server. Register every method; generic handlers alone are not called."""
    usual = cygrpc.AioServer
    cygrpc.AioServer = _Accepting if _REGISTERS else usual
    try:
        return grpc.aio.server(interceptors=interceptors, options=[*options, _SMALL_WINDOW])
    finally:
        cygrpc.AioServer = usual
