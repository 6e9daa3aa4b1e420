"""Opens the documents of a store: lists of them, texts, chunks, and what was skipped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable

from expertrag.api import validation
from expertrag.api.documents import (
    ChunkPage,
    DocumentChunk,
    DocumentPage,
    DocumentText,
    GetDocumentRequest,
    ListChunksRequest,
    ListDocumentsRequest,
    ListSkippedRequest,
    SkippedFile,
    SkippedPage,
)
from expertrag.api.errors import InvalidArgument, NotFound
from expertrag_index.search.filters import canonical
from expertrag_index.store.index import Index
from expertrag_index.store.listing import DocumentInfo, DocumentOrder, Position

PAGE_BYTES = 4 * 1024 * 1024
"""Most bytes of a page, about: a message may have 8 MiB."""


def get_document(index: Index, request: GetDocumentRequest) -> DocumentText:
    """Return a range of a document's text, at most ``MAX_TEXT_CHARACTERS`` of it.

    :raises NotFound: this caller sees no such document.
    :raises InvalidArgument: there is no id, or the range ends before it begins.
    """
    validation.check_get_document(request)
    stored = _existing(index, request.id)
    text = index.document_text(request.id)
    start = min(request.start, len(text))
    wanted = len(text) if request.end is None else min(request.end, len(text))
    end = min(wanted, start + validation.MAX_TEXT_CHARACTERS)
    return DocumentText(stored, text[start:end], start, end, index.generation)


def list_documents(index: Index, request: ListDocumentsRequest) -> DocumentPage:
    """Return a page of the documents that a filter admits.

    :raises InvalidArgument: the size of the page is out of range, or the token is of another list.
    """
    validation.check_list_documents(request)
    order, listed = request.order, _name_of(request.order, canonical(request.filter))
    after = _position(request.page_token, listed, order) if request.page_token else None
    documents = index.catalog.documents(
        request.filter, order=order, after=after, limit=request.page_size + 1
    )
    sizes = (_size(document) for _, document in documents)
    page = documents[: _fitting(sizes, request.page_size)]
    token = _token(listed, *page[-1][0]) if len(page) < len(documents) else ""
    return DocumentPage(
        tuple(document for _, document in page),
        token,
        index.catalog.count(request.filter),
        index.generation,
    )


def list_chunks(index: Index, request: ListChunksRequest) -> ChunkPage:
    """Return a page of a document's chunks.

    :raises NotFound: this caller sees no such document.
    :raises InvalidArgument: the size of the page is out of range, or the token is of another list.
    """
    validation.check_list_chunks(request)
    _existing(index, request.id)
    listed = _name_of("chunks", request.id)
    first = _ordinal(request.page_token, listed) if request.page_token else 0
    rows = index.catalog.chunks(request.id, first, request.page_size + 1)
    sizes = (len(chunk.text.encode()) for chunk in rows)
    page = rows[: _fitting(sizes, request.page_size)]
    token = _token(listed, page[-1].ordinal + 1) if len(page) < len(rows) else ""
    chunks = tuple(
        DocumentChunk(each.ordinal, each.start, each.end, each.text, each.page) for each in page
    )
    return ChunkPage(chunks, token, index.generation)


def list_skipped(index: Index, request: ListSkippedRequest) -> SkippedPage:
    """Return a page of what was skipped when the sources of a store were last read.

    :raises InvalidArgument: the size of the page is out of range, or the token is of another list.
    """
    validation.check_list_skipped(request)
    listed = _name_of("skipped")
    after = _parse_skipped(request.page_token, listed) if request.page_token else None
    files = index.catalog.list_skipped(after, request.page_size + 1)
    sizes = (len("".join(_texts(file)).encode()) for file in files)
    page = files[: _fitting(sizes, request.page_size)]
    more = len(page) < len(files)
    token = _token(listed, page[-1].notice, *_texts(page[-1])) if more else ""
    return SkippedPage(tuple(page), token, index.catalog.count_skipped())


def _texts(file: SkippedFile) -> tuple[str, str, str, str]:
    return file.source, file.document_id, file.reason, file.cure


def _existing(index: Index, document_id: str) -> DocumentInfo:
    stored = index.catalog.document(document_id)
    if stored is None:
        raise NotFound(f"there is no document {document_id!r:.80}", reason="DOCUMENT_NOT_FOUND")
    return stored


def _size(stored: DocumentInfo) -> int:
    """Bytes of a document's entry, about."""
    texts = (stored.id, stored.title, stored.source, json.dumps(stored.metadata))
    return sum(len(text.encode()) for text in texts)


def _fitting(sizes: Iterable[int], most: int) -> int:
    """Return how many entries fit into a page; at least one."""
    total = 0
    for number, size in enumerate(sizes):
        total += size
        if number and (number == most or total > PAGE_BYTES):
            return number
    return most


def _name_of(*parts: str) -> str:
    """Return the id of a listing, so that another listing's page token is rejected."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _token(*parts: str | int) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def _parts(token: str, listed: str) -> list[object]:
    """Return what follows the name of the list in a token.

    :raises InvalidArgument: it is not a token of this list.
    """
    try:
        parts = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
        json.dumps(parts, ensure_ascii=False).encode()  # SQLite takes no lone surrogates
    except (ValueError, RecursionError):
        parts = None
    if not isinstance(parts, list) or parts[:1] != [listed]:
        raise _not_of_this_list()
    return parts[1:]


def _position(token: str, listed: str, order: DocumentOrder) -> Position:
    newest = order is DocumentOrder.NEWEST
    match _parts(token, listed):
        case [int() as number, str() as document_id] if newest and abs(number) < 2**63:
            return number, document_id
        case [str() as text, str() as document_id] if not newest:
            return text, document_id
    raise _not_of_this_list()


def _ordinal(token: str, listed: str) -> int:
    match _parts(token, listed):
        case [int() as ordinal] if 0 <= ordinal < 2**31:
            return ordinal
    raise _not_of_this_list()


def _parse_skipped(token: str, listed: str) -> SkippedFile:
    match _parts(token, listed):
        case [bool() as notice, str() as a, str() as b, str() as c, str() as d]:
            return SkippedFile(notice, a, b, c, d)
    raise _not_of_this_list()


def _not_of_this_list() -> InvalidArgument:
    return validation.invalid(
        "page_token", "is not of this list; give next_page_token of the page before, or none"
    )
