"""OpenTelemetry traces: a span per call, and one per stage of its work.

Only the API of OpenTelemetry is used, where it is installed (extra ``otel``); without an SDK that
the environment configures, its spans are discarded. Spans hold no texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

NAME = "expertrag"
TRACER: Any = None
"""Starts spans; None without OpenTelemetry."""

try:
    from opentelemetry import propagate, trace
except ModuleNotFoundError:
    pass
else:
    TRACER = trace.get_tracer(NAME)

Value = str | int | float | bool


class Span:
    """A running span; without OpenTelemetry it does nothing."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    def note(self, facts: Mapping[str, Value]) -> None:
        """Add attributes."""
        if self._inner is not None:
            self._inner.set_attributes({f"{NAME}.{name}": value for name, value in facts.items()})

    def mark_failed(self, code: str) -> None:
        """Mark the span as failed with a status code; messages may hold texts."""
        if self._inner is not None:
            self._inner.set_status(trace.Status(trace.StatusCode.ERROR, code))


@contextmanager
def call_span(method: str, metadata: Iterable[tuple[str, str | bytes]] | None) -> Iterator[Span]:
    """Trace a call of the server, as part of the client's trace if its metadata names one."""
    if TRACER is None:
        yield Span()
        return
    carrier = {key: value for key, value in metadata or () if isinstance(value, str)}
    with TRACER.start_as_current_span(
        method,
        context=propagate.extract(carrier),
        kind=trace.SpanKind.SERVER,
        record_exception=False,  # its message may hold a text
        set_status_on_exception=False,
    ) as inner:
        yield Span(inner)


def headers() -> tuple[tuple[str, str], ...]:
    """Return the metadata that makes a call of a client part of the current trace."""
    if TRACER is None:
        return ()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple(carrier.items())
