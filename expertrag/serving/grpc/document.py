"""DocumentService: open the documents that passages and citations point to."""

from __future__ import annotations

from expertrag.api.documents import (
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
)
from expertrag.serving.core.operations.documents import (
    get_document,
    list_chunks,
    list_documents,
    list_skipped,
)
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import document_pb2
from expertrag.v1.document_pb2_grpc import DocumentServiceServicer
from expertrag.wire.common import message_of, value_of


class DocumentService(Servicer, DocumentServiceServicer):
    """Lists documents, and returns their texts and chunks."""

    async def GetDocument(
        self, request: document_pb2.GetDocumentRequest, context: Context
    ) -> document_pb2.GetDocumentResponse:
        """Return the text of a document, or a range of it."""
        wanted = value_of(GetDocumentRequest, request)
        text = await get_document(self._runtime, call_of(request.collection), wanted)
        return message_of(document_pb2.GetDocumentResponse, text)

    async def ListDocuments(
        self, request: document_pb2.ListDocumentsRequest, context: Context
    ) -> document_pb2.ListDocumentsResponse:
        """Return a page of documents."""
        wanted = value_of(ListDocumentsRequest, request)
        page = await list_documents(self._runtime, call_of(request.collection), wanted)
        return message_of(document_pb2.ListDocumentsResponse, page)

    async def ListChunks(
        self, request: document_pb2.ListChunksRequest, context: Context
    ) -> document_pb2.ListChunksResponse:
        """Return a page of a document's chunks."""
        wanted = value_of(ListChunksRequest, request)
        page = await list_chunks(self._runtime, call_of(request.collection), wanted)
        return message_of(document_pb2.ListChunksResponse, page)

    async def ListSkipped(
        self, request: document_pb2.ListSkippedRequest, context: Context
    ) -> document_pb2.ListSkippedResponse:
        """Return a page of what was skipped."""
        wanted = value_of(ListSkippedRequest, request)
        page = await list_skipped(self._runtime, call_of(request.collection), wanted)
        return message_of(document_pb2.ListSkippedResponse, page)
