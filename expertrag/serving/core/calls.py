"""What surrounds every call of every door: caller, quota, errors, metrics, trace, log line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import structlog

from expertrag.api.errors import ExpertRAGError, Overloaded, ServerError
from expertrag.auth import Caller
from expertrag.runtime.tracing import Span, call_span
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.messages import message_of
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.core.quotas import Quotas
from expertrag.serving.core.scopes import SCOPES, UNCOUNTED

_log = structlog.get_logger("expertrag.service")

Identify = Callable[[], Caller]
"""Returns who calls.

:raises Unauthenticated: the token is missing, or not accepted.
"""
Carrier = Iterable[tuple[str, str | bytes]]
"""Metadata that may name the client's trace."""


class Calls:
    """Admits the calls of all doors, and tracks them to their end; use it on one event loop."""

    def __init__(self, metrics: Metrics, quotas: Quotas) -> None:
        self._metrics = metrics
        self._quotas = quotas

    @contextmanager
    def serving(
        self, context: CallContext, identify: Identify, carrier: Carrier = ()
    ) -> Iterator[None]:
        """Run a call within the block, which counts and logs it; refuse one that is not allowed.

        Cancelling the task, or closing the generator that the block is in, ends the call.

        :param identify: returns the caller, who becomes the caller of ``context``.
        :raises ExpertRAGError: the call has failed; the message is fit for clients.
        :raises Unauthenticated: as ``identify``.
        :raises PermissionDenied: the caller lacks the scope of the method.
        :raises Overloaded: the caller has used up its quota.
        """
        code = "OK"
        tracing, span = ExitStack(), Span()
        try:
            with optional(context):
                self._metrics.in_flight.inc()
                span = tracing.enter_context(call_span(context.method, carrier))
            caller = identify()
            caller.require(SCOPES[context.method])
            context.caller = caller
            with self._quotas.call(context.caller, requests=context.method not in UNCOUNTED):
                self._quotas.charge(context.caller, "bytes", context.size)
                yield
        except (asyncio.CancelledError, GeneratorExit):
            remaining = context.remaining()
            expired = remaining is not None and remaining <= 0
            code = "DEADLINE_EXCEEDED" if expired else "CANCELLED"
            raise
        except Exception as raised:
            error = for_clients(raised, context)
            code = error.code
            if isinstance(error, Overloaded):
                with optional(context):
                    self._metrics.shed.labels(context.method, error.reason).inc()
            if error is raised:
                raise
            raise error from raised
        finally:
            with optional(context):
                self._metrics.in_flight.dec()
            with optional(context):
                span.note({"code": code, "request_id": context.request_id, **context.facts})
                if code != "OK":
                    span.mark_failed(code)
                tracing.close()
            self._count(context, code)

    def _count(self, context: CallContext, code: str) -> None:
        """Count and log a call that has ended."""
        with optional(context):
            self._metrics.calls.labels(context.method, code).inc()
            self._metrics.latency.labels(context.method).observe(context.seconds)
        with optional(context):
            _log.info(
                "call",
                request_id=context.request_id,
                method=context.method,
                code=code,
                ms=round(context.seconds * 1000, 1),
                **({"caller": known} if (known := context.caller.identity) else {}),
                **context.facts,
            )


@contextmanager
def optional(context: CallContext) -> Iterator[None]:
    """Run what no call depends on, such as its metrics; a failure is logged, if that is possible.

    Else it would fail the call, and gRPC would quote the error to the client.
    """
    try:
        yield
    except Exception as error:
        with suppress(Exception):
            _log.error("call not counted", request_id=context.request_id, exc_info=error)


def for_clients(error: Exception, context: CallContext) -> ExpertRAGError:
    """Return an error for the client; of an unexpected one, which is logged, only the id."""
    if isinstance(error, ExpertRAGError):
        error.message = message_of(error)
        return error
    _log.error(
        "unexpected error", request_id=context.request_id, method=context.method, exc_info=error
    )
    return ServerError(
        f"the server failed; its log has the cause under request id {context.request_id}",
        reason="INTERNAL",
    )
