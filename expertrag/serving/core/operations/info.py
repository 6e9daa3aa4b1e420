"""Versions, models and limits; available before the models are loaded."""

from __future__ import annotations

from dataclasses import replace

from expertrag._version import __version__
from expertrag.api import validation
from expertrag.api.info import ServerInfo
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.messages import without_paths
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.workers import CallKind


async def describe(runtime: Runtime, context: CallContext) -> ServerInfo:
    """Describe the server; while it loads, only its version and limits."""
    replica = runtime.replication.status() if runtime.replication else None
    if runtime.loaded is None:
        return ServerInfo(
            version=__version__,
            embedder="",
            model="",
            gate="",
            context_tokens=0,
            max_query_bytes=validation.MAX_QUERY_BYTES,
            max_k=validation.MAX_K,
            replica=replica,
        )
    info = await runtime.run(CallKind.READ, context, lambda pipeline, stop: pipeline.info())
    index = info.index and replace(info.index, degraded=without_paths(info.index.degraded))
    failing = (f"replica: {replica.problem}",) if replica and replica.problem else ()
    problems = (*map(without_paths, info.problems), *failing)
    return replace(info, index=index, problems=problems, replica=replica)
