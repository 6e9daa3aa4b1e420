"""The operations of the core behind the calls of a client in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from expertrag.api.adapters import AdapterInfo
from expertrag.api.embed import Embeddings, EmbedRequest
from expertrag.api.info import CollectionInfo, IndexStats, ServerInfo
from expertrag.client import operations as client
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.operations.adapters import list_adapters
from expertrag.serving.core.operations.answering import decide
from expertrag.serving.core.operations.collections import list_collections
from expertrag.serving.core.operations.decisions import count_experts, list_questions, replay
from expertrag.serving.core.operations.documents import (
    get_document,
    list_chunks,
    list_documents,
    list_skipped,
)
from expertrag.serving.core.operations.info import describe
from expertrag.serving.core.operations.searching import embed, retrieve
from expertrag.serving.core.operations.store import delete, stats
from expertrag.serving.core.runtime import Runtime

Run = Callable[[Runtime, CallContext, Any], Awaitable[Any]]


async def _embed(runtime: Runtime, context: CallContext, request: EmbedRequest) -> Embeddings:
    return await embed(runtime, context, request, lambda embeddings: embeddings)


async def _collections(runtime: Runtime, context: CallContext, _: None) -> list[CollectionInfo]:
    page, _more = await list_collections(runtime, context)
    return page


async def _adapters(runtime: Runtime, context: CallContext, _: None) -> list[AdapterInfo]:
    return list(await list_adapters(runtime, context))


async def _stats(runtime: Runtime, context: CallContext, _: None) -> IndexStats:
    return await stats(runtime, context)


async def _info(runtime: Runtime, context: CallContext, _: None) -> ServerInfo:
    return await describe(runtime, context)


OPERATIONS: dict[client.Operation[Any, Any], tuple[str, Run]] = {
    client.RETRIEVE: ("RetrieveService/Retrieve", retrieve),
    client.DECIDE: ("GateService/Decide", decide),
    client.EMBED: ("EmbedService/Embed", _embed),
    client.DELETE: ("IndexService/Delete", delete),
    client.GET_DOCUMENT: ("DocumentService/GetDocument", get_document),
    client.LIST_DOCUMENTS: ("DocumentService/ListDocuments", list_documents),
    client.LIST_CHUNKS: ("DocumentService/ListChunks", list_chunks),
    client.LIST_SKIPPED: ("DocumentService/ListSkipped", list_skipped),
    client.REPLAY: ("AuditService/Replay", replay),
    client.LIST_QUESTIONS: ("AuditService/ListQuestions", list_questions),
    client.COUNT_EXPERTS: ("AuditService/CountExperts", count_experts),
    client.LIST_COLLECTIONS: ("CollectionService/ListCollections", _collections),
    client.LIST_ADAPTERS: ("AdapterService/ListAdapters", _adapters),
    client.STATS: ("IndexService/Stats", _stats),
    client.INFO: ("InfoService/Info", _info),
}
"""By what the client calls: the method's name in metrics, logs and scopes, and the operation."""
