"""What all servicers share: they decode a message, run an operation of the core, and encode."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc

from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"  # generic in the stubs only

CALL: ContextVar[CallContext] = ContextVar("expertrag_call")
"""Set by the interceptor around every servicer method."""


class Servicer:
    """Base class of all servicers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime


def call_of(collection: str = "") -> CallContext:
    """Return the context of the current call, of the collection that its message names."""
    context = CALL.get()
    context.collection = collection
    return context
