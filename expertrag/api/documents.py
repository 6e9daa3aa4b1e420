"""Requests and results of ``client.documents``. Importing this loads only the standard library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from expertrag_index.store.listing import DocumentInfo, DocumentOrder, SkippedFile

__all__ = [
    "ChunkPage",
    "DocumentChunk",
    "DocumentInfo",
    "DocumentOrder",
    "DocumentPage",
    "DocumentText",
    "GetDocumentRequest",
    "ListChunksRequest",
    "ListDocumentsRequest",
    "ListSkippedRequest",
    "SkippedFile",
    "SkippedPage",
]


@dataclass(frozen=True, slots=True)
class ListDocumentsRequest:
    """Which page of the documents of a store; an empty ``page_token`` asks for the first."""

    filter: Mapping[str, object] = field(default_factory=dict)
    order: DocumentOrder = DocumentOrder.ID
    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class GetDocumentRequest:
    """A document, or its characters from ``start`` to ``end``; None for its own end."""

    id: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True, slots=True)
class ListChunksRequest:
    """Which page of the chunks of a document; an empty ``page_token`` asks for the first."""

    id: str
    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class ListSkippedRequest:
    """Which page of what was skipped; an empty ``page_token`` asks for the first."""

    page_size: int = 100
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """A page of the documents of a store; ``total`` counts the documents of all pages.

    ``next_page_token`` is empty on the last page.
    """

    documents: tuple[DocumentInfo, ...]
    next_page_token: str
    total: int
    generation: int


@dataclass(frozen=True, slots=True)
class DocumentText:
    """A stretch of a document: ``text`` is its characters from ``start`` to ``end``.

    Passages and citations have the same offsets. If ``end`` is not the end that was asked for,
    the rest is read by another call.
    """

    document: DocumentInfo
    text: str
    start: int
    end: int
    generation: int


@dataclass(frozen=True, slots=True)
class DocumentChunk:
    """A chunk of a document: its characters from ``start`` to ``end``.

    ``page`` is the page on which it begins, from 1; None in a document without pages.
    """

    ordinal: int
    start: int
    end: int
    text: str
    page: int | None = None


@dataclass(frozen=True, slots=True)
class ChunkPage:
    """A page of the chunks of a document; ``next_page_token`` is empty on the last page."""

    chunks: tuple[DocumentChunk, ...]
    next_page_token: str
    generation: int


@dataclass(frozen=True, slots=True)
class SkippedPage:
    """A page of what was skipped when the sources of a store were last read; losses come first.

    ``total`` counts the files of all pages; ``next_page_token`` is empty on the last page.
    """

    files: tuple[SkippedFile, ...]
    next_page_token: str
    total: int
