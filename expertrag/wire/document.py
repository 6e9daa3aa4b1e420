"""Messages of ``document.proto``."""

from __future__ import annotations

from expertrag.api.documents import (
    ChunkPage,
    DocumentChunk,
    DocumentInfo,
    DocumentOrder,
    DocumentPage,
    DocumentText,
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
    SkippedFile,
    SkippedPage,
)
from expertrag.v1 import document_pb2
from expertrag.wire.common import (
    EnumMap,
    fits_the_wire,
    message_of,
    metadata_from_proto,
    struct_from_proto,
    struct_to_proto,
    value_of,
)

ORDERS = EnumMap(
    "order",
    {
        DocumentOrder.ID: document_pb2.DOCUMENT_ORDER_ID,
        DocumentOrder.TITLE: document_pb2.DOCUMENT_ORDER_TITLE,
        DocumentOrder.SOURCE: document_pb2.DOCUMENT_ORDER_SOURCE,
        DocumentOrder.NEWEST: document_pb2.DOCUMENT_ORDER_NEWEST,
    },
    unset=DocumentOrder.ID,
)


def get_to_proto(request: GetDocumentRequest) -> document_pb2.GetDocumentRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(document_pb2.GetDocumentRequest, request)


def get_from_proto(request: document_pb2.GetDocumentRequest) -> GetDocumentRequest:
    """Return the value."""
    return value_of(GetDocumentRequest, request)


def list_to_proto(request: ListDocumentsRequest) -> document_pb2.ListDocumentsRequest:
    """Return the message."""
    metadata_filter = struct_to_proto("filter", request.filter)
    order = ORDERS.to_proto(request.order)
    with fits_the_wire():
        return message_of(
            document_pb2.ListDocumentsRequest, request, filter=metadata_filter, order=order
        )


def list_from_proto(request: document_pb2.ListDocumentsRequest) -> ListDocumentsRequest:
    """Return the value."""
    metadata_filter, order = struct_from_proto(request.filter), ORDERS.from_proto(request.order)
    return value_of(ListDocumentsRequest, request, filter=metadata_filter, order=order)


def chunks_to_proto(request: ListChunksRequest) -> document_pb2.ListChunksRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(document_pb2.ListChunksRequest, request)


def chunks_from_proto(request: document_pb2.ListChunksRequest) -> ListChunksRequest:
    """Return the value."""
    return value_of(ListChunksRequest, request)


def list_skipped_to_proto(request: ListSkippedRequest) -> document_pb2.ListSkippedRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(document_pb2.ListSkippedRequest, request)


def list_skipped_from_proto(request: document_pb2.ListSkippedRequest) -> ListSkippedRequest:
    """Return the value."""
    return value_of(ListSkippedRequest, request)


def text_to_proto(text: DocumentText) -> document_pb2.GetDocumentResponse:
    """Return the message."""
    return message_of(
        document_pb2.GetDocumentResponse, text, document=_info_to_proto(text.document)
    )


def text_from_proto(response: document_pb2.GetDocumentResponse) -> DocumentText:
    """Return the value."""
    return value_of(DocumentText, response, document=_info_from_proto(response.document))


def documents_to_proto(page: DocumentPage) -> document_pb2.ListDocumentsResponse:
    """Return the message."""
    documents = map(_info_to_proto, page.documents)
    return message_of(document_pb2.ListDocumentsResponse, page, documents=documents)


def documents_from_proto(response: document_pb2.ListDocumentsResponse) -> DocumentPage:
    """Return the value."""
    documents = tuple(map(_info_from_proto, response.documents))
    return value_of(DocumentPage, response, documents=documents)


def chunk_page_to_proto(page: ChunkPage) -> document_pb2.ListChunksResponse:
    """Return the message."""
    chunks = [message_of(document_pb2.DocumentChunk, chunk) for chunk in page.chunks]
    return message_of(document_pb2.ListChunksResponse, page, chunks=chunks)


def chunk_page_from_proto(response: document_pb2.ListChunksResponse) -> ChunkPage:
    """Return the value."""
    chunks = tuple(value_of(DocumentChunk, chunk) for chunk in response.chunks)
    return value_of(ChunkPage, response, chunks=chunks)


def skips_to_proto(page: SkippedPage) -> document_pb2.ListSkippedResponse:
    """Return the message."""
    files = [message_of(document_pb2.SkippedFile, file) for file in page.files]
    return message_of(document_pb2.ListSkippedResponse, page, files=files)


def skips_from_proto(response: document_pb2.ListSkippedResponse) -> SkippedPage:
    """Return the value."""
    files = tuple(value_of(SkippedFile, file) for file in response.files)
    return value_of(SkippedPage, response, files=files)


def _info_to_proto(info: DocumentInfo) -> document_pb2.DocumentInfo:
    metadata = struct_to_proto("metadata", info.metadata)
    return message_of(document_pb2.DocumentInfo, info, metadata=metadata)


def _info_from_proto(info: document_pb2.DocumentInfo) -> DocumentInfo:
    metadata = metadata_from_proto("metadata", info.metadata)
    return value_of(DocumentInfo, info, metadata=metadata)
