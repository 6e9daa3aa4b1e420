"""Change and describe the document store of a collection: one generation per write."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from expertrag.answer.collections import DEFAULT
from expertrag.api.errors import Conflict, PermissionDenied
from expertrag.api.info import IndexStats
from expertrag.api.types import UpdateReport
from expertrag.auth import Caller
from expertrag.runtime.stop import Stop
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.idempotency import KeyScope
from expertrag.serving.core.messages import without_paths
from expertrag.serving.core.runtime import Runtime, key_of
from expertrag.serving.core.upload import SentDocument, Upload
from expertrag.serving.core.workers import CallKind

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline

Write = Callable[["Pipeline", Stop], UpdateReport]


async def upsert(
    runtime: Runtime, context: CallContext, documents: AsyncIterator[SentDocument]
) -> UpdateReport:
    """Add or replace the documents of a stream, whose first one names the collection.

    :raises PermissionDenied: the server accepts no writes.
    :raises Conflict: the collection is a copy, or the key was used for other documents.
    """
    _check_writable(runtime)

    def charge(document: SentDocument, written: bool) -> None:
        runtime.quotas.charge(context.caller, "bytes", document.size)
        runtime.quotas.check(context.caller, "bytes")
        if written:
            _charge(runtime, context.caller, 1)

    upload = Upload(documents, runtime.config.upload_idle_s, charge)
    context.collection, key = await upload.begin()
    _check_copy(runtime, context)

    async def write() -> UpdateReport:
        return await _write(
            runtime, context, lambda pipeline, stop: pipeline.upsert(upload.documents(stop))
        )

    return await _once(runtime, context, key, write, upload.digest)


async def delete(
    runtime: Runtime, context: CallContext, ids: Sequence[str], key: str = ""
) -> UpdateReport:
    """Delete documents by id.

    :param key: of a call that may be repeated; empty for none.
    :raises PermissionDenied: the server accepts no writes.
    :raises Conflict: the collection is a copy, or the key was used for other documents.
    """
    _check_writable(runtime)
    _check_copy(runtime, context)
    _charge(runtime, context.caller, len(ids))

    async def write() -> UpdateReport:
        return await _write(runtime, context, lambda pipeline, stop: pipeline.delete(ids))

    async def digest() -> bytes:
        named = hashlib.sha256()
        for each in ids:
            content = each.encode()
            named.update(len(content).to_bytes(8, "big") + content)
        return named.digest()

    return await _once(runtime, context, key, write, digest)


async def stats(runtime: Runtime, context: CallContext) -> IndexStats:
    """Describe the served generation."""
    described = await _stats(runtime, context)
    return replace(described, degraded=without_paths(described.degraded))


async def _write(runtime: Runtime, context: CallContext, work: Write) -> UpdateReport:
    report = await runtime.run(CallKind.WRITE, context, work)
    if key_of(context) == DEFAULT:
        runtime.metrics.observe_index(await _stats(runtime, context))
    return report


async def _once(
    runtime: Runtime,
    context: CallContext,
    key: str,
    write: Callable[[], Awaitable[UpdateReport]],
    digest: Callable[[], Awaitable[bytes]],
) -> UpdateReport:
    method = context.method.rpartition("/")[2]
    scope = KeyScope(key_of(context), method, context.caller.id)
    return await runtime.responses.once(scope, key, write, digest)


async def _stats(runtime: Runtime, context: CallContext) -> IndexStats:
    return await runtime.run(CallKind.READ, context, lambda pipeline, stop: pipeline.stats())


def _follow_url(runtime: Runtime) -> str:
    """Return the URL whose copy is served; empty for none."""
    return runtime.replication.followed if runtime.replication else ""


def _check_copy(runtime: Runtime, context: CallContext) -> None:
    """Check that a collection is not a copy, which takes no writes.

    :raises Conflict: it is.
    """
    if (followed := _follow_url(runtime)) and key_of(context) == DEFAULT:
        raise _is_copy(followed)


def _check_writable(runtime: Runtime) -> None:
    if runtime.config.allow_writes:
        return
    if followed := _follow_url(runtime):
        raise _is_copy(followed)
    raise PermissionDenied(
        "this server does not accept writes; start it with --allow-writes",
        reason="WRITES_DISABLED",
    )


def _charge(runtime: Runtime, caller: Caller, documents: int) -> None:
    """Charge documents to a caller.

    :raises Overloaded: it has used up its quota.
    """
    runtime.quotas.check(caller, "documents")
    runtime.quotas.charge(caller, "documents", documents)


def _is_copy(url: str) -> Conflict:
    return Conflict(
        f"this server serves a copy of the store that is pushed to {without_paths(url)}: write to "
        "the server that pushes there (serve --push)",
        reason="READ_ONLY_REPLICA",
    )
