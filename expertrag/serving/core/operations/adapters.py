"""The adapters of the language model, which all collections share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expertrag.api.adapters import AdapterInfo, LoadAdapterRequest
from expertrag.api.validation import invalid
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.workers import CallKind


async def load_adapter(
    runtime: Runtime, context: CallContext, request: LoadAdapterRequest
) -> AdapterInfo:
    """Serve another adapter."""
    if not request.folder:
        raise invalid("folder", "is empty; name the adapter's folder on the server's machine")
    collections, name, folder = runtime.collections, request.name, Path(request.folder)
    return await runtime.workers.run(
        CallKind.ADAPTER, context, lambda stop: collections.adapters().load(name, folder)
    )


async def unload_adapter(runtime: Runtime, context: CallContext, name: str) -> None:
    """Refuse an adapter to new questions."""
    collections = runtime.collections
    await runtime.workers.run(
        CallKind.ADAPTER, context, lambda stop: collections.adapters().unload(name)
    )


async def list_adapters(runtime: Runtime, context: CallContext) -> Sequence[AdapterInfo]:
    """Return the adapters that a question may name."""
    collections = runtime.collections
    return await runtime.workers.run(
        CallKind.ADAPTER, context, lambda stop: collections.adapters().all()
    )
