"""Interceptor of every call: it receives the message, and ends the call with its status."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from expertrag.api.errors import ExpertRAGError, InvalidArgument
from expertrag.auth import Caller
from expertrag.serving.core.calls import for_clients
from expertrag.serving.core.context import REQUEST_ID_KEY, CallContext, request_id_of
from expertrag.serving.core.core import Core
from expertrag.serving.core.inflight import RECEIVING, InFlight
from expertrag.serving.core.messages import message_of
from expertrag.serving.grpc.grpc_server import ClientGone
from expertrag.serving.grpc.servicer import CALL, Context
from expertrag.serving.grpc.status import status_of

UNAUTHENTICATED_S = 0.1
"""How long a caller that has shown no token may delay others by sending nothing."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in the stubs only


class Malformed:
    """Placeholder for a malformed message; raising in gRPC's deserializer would give UNKNOWN."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of ``expertrag.v1``; health checks only wait for a place to receive."""

    def __init__(self, core: Core) -> None:
        self._calls = core.calls
        self._authenticator = core.authenticator
        self._quotas = core.runtime.quotas
        self._in_flight = core.in_flight
        self._unauthenticated = InFlight(each=RECEIVING, seconds=UNAUTHENTICATED_S)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Return the method's handler, wrapped."""
        handler = await continuation(handler_call_details)
        path = handler_call_details.method
        if handler is None:
            return None
        if not path.startswith("/expertrag.v1."):
            return self._without_token(handler)
        method = path.removeprefix("/expertrag.v1.")
        behaviour, factory = _behaviour_and_factory(handler)

        async def handle(messages: Any, context: Context) -> Any:
            async def run(call: CallContext) -> Any:
                if handler.request_streaming:
                    return await behaviour(_stream(messages), context)
                return await self._receive_and_run(behaviour, call.caller, context)

            return await self._serve(method, context, run)

        reader = _reader(handler.request_deserializer)
        wrapper: Handler = factory(handle, reader, handler.response_serializer)
        return wrapper

    def _without_token(self, handler: Handler) -> Handler:
        """Return a handler of health checks, which anyone may send, up to 8 MiB each."""
        if handler.request_streaming:
            return handler
        behaviour, factory = _behaviour_and_factory(handler)

        async def handle(_messages: Any, context: Context) -> Any:
            try:
                message = _check_message(await self._unauthenticated.receive("", context.read))
                return await behaviour(message, context)
            except (grpc.aio.AbortError, ClientGone):
                raise
            except Exception as raised:
                call = CallContext("Health", _request_id(context.invocation_metadata() or ()))
                error = for_clients(raised, call)
                if error is not raised:
                    error.__cause__ = raised  # is let go with it
                await _abort(context, call, error)

        reader = _reader(handler.request_deserializer)
        wrapper: Handler = factory(handle, reader, handler.response_serializer)
        return wrapper

    async def _receive_and_run(self, behaviour: Any, caller: Caller, context: Context) -> Any:
        """Receive the message of a call, and run its method."""
        message = _check_message(await self._in_flight.receive(caller.id, context.read))
        size = message.ByteSize()
        self._quotas.charge(caller, "bytes", size)
        with self._in_flight.holding(size):
            return await behaviour(message, context)

    async def _serve(
        self, method: str, context: Context, run: Callable[[CallContext], Awaitable[Any]]
    ) -> Any:
        """Run a call, and track it to its end; refuse one that its caller may not make."""
        metadata = context.invocation_metadata() or ()
        call = CallContext(method, _request_id(metadata), remaining=context.time_remaining)
        CALL.set(call)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))

        def identify() -> Caller:
            caller = self._authenticator.caller(metadata)
            return self._authenticator.name_caller(caller, context.auth_context())

        try:
            with self._calls.serving(call, identify, metadata):
                try:
                    return await run(call)
                except ClientGone:
                    raise asyncio.CancelledError from None
        except ExpertRAGError as error:
            await _abort(context, call, error)


def _behaviour_and_factory(handler: Handler) -> tuple[Any, Any]:
    """Return a method, and what makes its handler.

    gRPC calls a handler of a single request when the request is there, but a handler of a stream at
    once. So nothing is received of a caller who is refused.
    """
    if handler.request_streaming:
        return handler.stream_unary, grpc.stream_unary_rpc_method_handler
    if handler.response_streaming:
        return handler.unary_stream, grpc.stream_stream_rpc_method_handler
    return handler.unary_unary, grpc.stream_unary_rpc_method_handler


def _reader(parse: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def read(data: bytes) -> Any:
        try:
            return parse(data) if parse is not None else data
        except DecodeError:
            return Malformed()

    return read


async def _stream(messages: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for message in messages:
        yield _check_message(message)


def _check_message(message: Any) -> Any:
    if message is grpc.aio.EOF:
        raise InvalidArgument("the call has no message; send one", reason="MALFORMED_MESSAGE")
    if isinstance(message, Malformed):
        raise InvalidArgument(
            "the message is not a valid protobuf request of this method; see the proto files",
            reason="MALFORMED_MESSAGE",
        )
    return message


def _forget_traceback(error: BaseException | None) -> None:
    """Let go of the functions that failed, and of their variables.

    The error is part of a reference cycle, and would keep a request of up to 8 MiB until the
    garbage collector looks for it. Causes may form a cycle as well.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


async def _abort(context: Context, call: CallContext, error: ExpertRAGError) -> None:
    """End a call with an error, which is let go."""
    status, trailing = status_of(error, call.request_id)
    _forget_traceback(error)
    with suppress(ClientGone):
        await context.abort(status, message_of(error), trailing)


def _request_id(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the client's id of a request if it is well-formed, else a new one."""
    sent = (value for key, value in metadata if key == REQUEST_ID_KEY)
    return request_id_of(next(sent, None))
