"""Documents that passages and citations point to: lists of them, texts, chunks."""

from __future__ import annotations

from expertrag.api.documents import (
    ChunkPage,
    DocumentPage,
    DocumentText,
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
    SkippedPage,
)
from expertrag.serving.core.context import CallContext
from expertrag.serving.core.runtime import Runtime
from expertrag.serving.core.workers import CallKind


async def get_document(
    runtime: Runtime, context: CallContext, request: GetDocumentRequest
) -> DocumentText:
    """Return the text of a document, or a range of it."""
    return await runtime.run(
        CallKind.READ, context, lambda pipeline, _: pipeline.get_document(request)
    )


async def list_documents(
    runtime: Runtime, context: CallContext, request: ListDocumentsRequest
) -> DocumentPage:
    """Return a page of documents."""
    return await runtime.run(
        CallKind.READ, context, lambda pipeline, _: pipeline.list_documents(request)
    )


async def list_chunks(
    runtime: Runtime, context: CallContext, request: ListChunksRequest
) -> ChunkPage:
    """Return a page of a document's chunks."""
    return await runtime.run(
        CallKind.READ, context, lambda pipeline, _: pipeline.list_chunks(request)
    )


async def list_skipped(
    runtime: Runtime, context: CallContext, request: ListSkippedRequest
) -> SkippedPage:
    """Return a page of what was skipped."""
    return await runtime.run(
        CallKind.READ, context, lambda pipeline, _: pipeline.list_skipped(request)
    )
