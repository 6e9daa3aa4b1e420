"""Interceptor of every call: caller, quota, malformed messages, errors, metrics, log line."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.auth import Authenticator, Caller
from expertrag.runtime.tracing import Span, call_span
from expertrag.serving.core.call import CALL, Call, request_id_of
from expertrag.serving.core.inflight import RECEIVING, InFlight
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.quotas import Quotas
from expertrag.serving.core.scopes import SCOPES, UNCOUNTED
from expertrag.serving.core.workers import Context
from expertrag.serving.grpc.grpc_server import ClientGone
from expertrag.serving.grpc.status import REQUEST_ID_KEY, message_of, status_of

_log = structlog.get_logger("expertrag.service")

UNAUTHENTICATED_S = 0.1
"""How long a caller that has shown no token may delay others by sending nothing."""

Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic in the stubs only


class Malformed:
    """Placeholder for a malformed message; raising in gRPC's deserializer would give UNKNOWN."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of ``expertrag.v1``; health checks only wait for a place to receive."""

    def __init__(
        self, metrics: Metrics, authenticator: Authenticator, quotas: Quotas, in_flight: InFlight
    ) -> None:
        self._metrics = metrics
        self._authenticator = authenticator
        self._quotas = quotas
        self._in_flight = in_flight
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

        async def wrapped(messages: Any, context: Context) -> Any:
            async def run(call: Call) -> Any:
                if handler.request_streaming:
                    return await behaviour(self._stream(messages, call.caller), context)
                return await self._received(behaviour, call.caller, context)

            return await self._served(method, context, run)

        reader = _reader(handler.request_deserializer)
        wrapper: Handler = factory(wrapped, reader, handler.response_serializer)
        return wrapper

    def _without_token(self, handler: Handler) -> Handler:
        """Return a handler of health checks, which anyone may send, up to 8 MiB each."""
        if handler.request_streaming:
            return handler
        behaviour, factory = _behaviour_and_factory(handler)

        async def wrapped(_messages: Any, context: Context) -> Any:
            try:
                message = await self._unauthenticated.receive("", context.read)
                return await behaviour(message, context)
            except (grpc.aio.AbortError, ClientGone):
                raise
            except Exception as raised:
                call = Call("Health", request_id_of(context.invocation_metadata()))
                await _abort(context, call, _known(raised, call), raised)

        read, write = handler.request_deserializer, handler.response_serializer
        wrapper: Handler = factory(wrapped, read, write)
        return wrapper

    async def _received(self, behaviour: Any, caller: Caller, context: Context) -> Any:
        """Receive the message of a call, and run its method."""
        message = _checked(await self._in_flight.receive(caller.id, context.read))
        size = message.ByteSize()
        self._quotas.charge(caller, "bytes", size)
        with self._in_flight.holding(size):
            return await behaviour(message, context)

    async def _served(
        self, method: str, context: Context, run: Callable[[Call], Awaitable[Any]]
    ) -> Any:
        """Run a call, and track it to its end; refuse one that its caller may not make."""
        call = Call(method, request_id_of(context.invocation_metadata()))
        CALL.set(call)
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        code = "OK"
        tracing, span = ExitStack(), Span()
        try:
            with _optional(call):
                self._metrics.in_flight.inc()
                span = tracing.enter_context(call_span(method, context.invocation_metadata()))
            caller = self._authenticator.caller(context.invocation_metadata())
            caller.require(SCOPES[method])
            call.caller = self._authenticator.named(caller, context.auth_context())
            with self._quotas.call(call.caller, requests=method not in UNCOUNTED):
                return await run(call)
        except (asyncio.CancelledError, ClientGone):
            remaining: float | None = context.time_remaining()
            expired = remaining is not None and remaining <= 0
            code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
            raise asyncio.CancelledError from None
        except Exception as raised:
            error = _known(raised, call)
            code = error.code
            if isinstance(error, Overloaded):
                with _optional(call):
                    self._metrics.shed.labels(method, error.reason).inc()
            await _abort(context, call, error, raised)
        finally:
            with _optional(call):
                self._metrics.in_flight.dec()
            with _optional(call):
                span.note({"code": code, "request_id": call.request_id, **call.facts})
                if code != "OK":
                    span.failed(code)
                tracing.close()
            self._count(call, code)

    def _count(self, call: Call, code: str) -> None:
        """Count and log a call that has ended."""
        with _optional(call):
            self._metrics.calls.labels(call.method, code).inc()
            self._metrics.latency.labels(call.method).observe(call.seconds)
        with _optional(call):
            _log.info(
                "call",
                request_id=call.request_id,
                method=call.method,
                code=code,
                ms=round(call.seconds * 1000, 1),
                **({"caller": known} if (known := call.caller.known_id) else {}),
                **call.facts,
            )

    async def _stream(self, messages: AsyncIterator[Any], caller: Caller) -> AsyncIterator[Any]:
        async for message in messages:
            checked = _checked(message)
            self._quotas.charge(caller, "bytes", checked.ByteSize())
            self._quotas.check(caller, "bytes")
            yield checked


def _behaviour_and_factory(handler: Handler) -> tuple[Any, Any]:
    """Return a method, and what makes its handler.

    gRPC calls a handler of a single request when that is there, but one of a stream at once: so
    that nothing is received of a caller who is refused.
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


def _checked(message: Any) -> Any:
    if isinstance(message, Malformed):
        raise InvalidArgument(
            "the message is not a valid protobuf request of this method; see the proto files",
            reason="MALFORMED_MESSAGE",
        )
    return message


def _forget_traceback(error: BaseException | None) -> None:
    """Let go of the functions that failed, and of their variables.

    The error is part of a reference cycle, and would keep a request of up to 8 MiB until the
    garbage collector looks for it.
    """
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


@contextmanager
def _optional(call: Call) -> Iterator[None]:
    """Run what no call depends on, such as its metrics; a failure is logged, if that is possible.

    gRPC would fail the call, and quote the error to the client.
    """
    try:
        yield
    except Exception as error:
        with suppress(Exception):
            _log.error("call not counted", request_id=call.request_id, exc_info=error)


async def _abort(
    context: Context, call: Call, error: ExpertRAGError, raised: BaseException
) -> None:
    """End a call with an error; ``raised`` is let go."""
    status, trailing = status_of(error, call.request_id)
    _forget_traceback(raised)
    with suppress(ClientGone):
        await context.abort(status, message_of(error), trailing)


def _known(error: Exception, call: Call) -> ExpertRAGError:
    """Return an error for the client; of an unexpected one, which is logged, only the id."""
    if isinstance(error, ExpertRAGError):
        return error
    _log.error("unexpected error", request_id=call.request_id, method=call.method, exc_info=error)
    return ServerError(
        f"the server failed; its log has the cause under request id {call.request_id}",
        reason="INTERNAL",
    )
