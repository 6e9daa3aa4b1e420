"""DocumentService: open the documents that passages and citations point to."""

from __future__ import annotations

from expertrag.serving.core.runtime import Servicer
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import document_pb2
from expertrag.v1.document_pb2_grpc import DocumentServiceServicer
from expertrag.wire import document


class DocumentService(Servicer, DocumentServiceServicer):
    """Lists documents, and returns their texts and chunks."""

    async def GetDocument(
        self, request: document_pb2.GetDocumentRequest, context: Context
    ) -> document_pb2.GetDocumentResponse:
        """Return the text of a document, or a range of it."""
        wanted = document.get_from_proto(request)
        found = await self._runtime.run(
            CallKind.READ,
            context,
            request.collection,
            lambda pipeline, _: pipeline.get_document(wanted),
        )
        return document.text_to_proto(found)

    async def ListDocuments(
        self, request: document_pb2.ListDocumentsRequest, context: Context
    ) -> document_pb2.ListDocumentsResponse:
        """Return a page of documents."""
        wanted = document.list_from_proto(request)
        page = await self._runtime.run(
            CallKind.READ,
            context,
            request.collection,
            lambda pipeline, _: pipeline.list_documents(wanted),
        )
        return document.documents_to_proto(page)

    async def ListChunks(
        self, request: document_pb2.ListChunksRequest, context: Context
    ) -> document_pb2.ListChunksResponse:
        """Return a page of a document's chunks."""
        wanted = document.chunks_from_proto(request)
        page = await self._runtime.run(
            CallKind.READ,
            context,
            request.collection,
            lambda pipeline, _: pipeline.list_chunks(wanted),
        )
        return document.chunk_page_to_proto(page)

    async def ListSkipped(
        self, request: document_pb2.ListSkippedRequest, context: Context
    ) -> document_pb2.ListSkippedResponse:
        """Return a page of what was skipped."""
        wanted = document.skipped_from_proto(request)
        page = await self._runtime.run(
            CallKind.READ,
            context,
            request.collection,
            lambda pipeline, _: pipeline.list_skipped(wanted),
        )
        return document.skipped_page_to_proto(page)
