"""``client.documents``: the documents of a store, on asyncio and blocking."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING

from expertrag.api.documents import (
    ChunkPage,
    DocumentInfo,
    DocumentOrder,
    DocumentPage,
    DocumentText,
    GetDocumentRequest,
    ListChunksRequest,
    ListSkippedRequest,
    SkippedPage,
)
from expertrag.client.blocking import iterate, make_blocking
from expertrag.client.operations import GET_DOCUMENT, LIST_CHUNKS, LIST_DOCUMENTS, LIST_SKIPPED
from expertrag.client.requests import DEFAULT_PAGE, DEFAULT_TIMEOUT_S, list_documents_request

if TYPE_CHECKING:
    from expertrag.client.local import LocalBackend
    from expertrag.client.remote import RemoteBackend


class AsyncDocuments:
    """Opens what passages and citations point to: ``documents.get(citation.document_id)``."""

    def __init__(self, backend: LocalBackend | RemoteBackend) -> None:
        self._backend = backend

    async def get(
        self,
        id: str,
        *,
        start: int = 0,
        end: int | None = None,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> DocumentText:
        """Return the text of a document, or of its characters from ``start`` to ``end``.

        It is the text as it was indexed, so that the offsets of passages and citations are exact;
        at most 1,000,000 characters: see ``DocumentText.end``.

        :raises NotFound: if there is no such document.
        """
        return await self._backend.call(GET_DOCUMENT, GetDocumentRequest(id, start, end), timeout)

    async def list(
        self,
        *,
        filter: Mapping[str, object] | None = None,
        order: DocumentOrder | str = DocumentOrder.ID,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> DocumentPage:
        """Return a page of documents.

        :param filter: as of ``retrieve``.
        :param page_token: ``next_page_token`` of the page before; empty for the first.
        """
        request = list_documents_request(filter, order, page_size, page_token)
        return await self._backend.call(LIST_DOCUMENTS, request, timeout)

    async def all(
        self,
        *,
        filter: Mapping[str, object] | None = None,
        order: DocumentOrder | str = DocumentOrder.ID,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> AsyncIterator[DocumentInfo]:
        """Yield all documents, read page by page; ``timeout`` is for each page."""
        token = ""
        while True:
            page = await self.list(filter=filter, order=order, page_token=token, timeout=timeout)
            for document in page.documents:
                yield document
            token = page.next_page_token
            if not token:
                return

    async def chunks(
        self,
        id: str,
        *,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> ChunkPage:
        """Return a page of the chunks of a document.

        :raises NotFound: if there is no such document.
        """
        request = ListChunksRequest(id, page_size, page_token)
        return await self._backend.call(LIST_CHUNKS, request, timeout)

    async def skipped(
        self,
        *,
        page_size: int = DEFAULT_PAGE,
        page_token: str = "",
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> SkippedPage:
        """Return a page of what was skipped when the sources of the store were last read.

        Losses come first, each with its reason and what to do about it.
        """
        request = ListSkippedRequest(page_size, page_token)
        return await self._backend.call(LIST_SKIPPED, request, timeout)


class Documents:
    """Opens what passages and citations point to: ``documents.get(citation.document_id)``."""

    def __init__(self, documents: AsyncDocuments) -> None:
        self._core = documents

    get = make_blocking(AsyncDocuments.get)
    list = make_blocking(AsyncDocuments.list)

    def all(
        self,
        *,
        filter: Mapping[str, object] | None = None,
        order: DocumentOrder | str = DocumentOrder.ID,
        timeout: float = DEFAULT_TIMEOUT_S,
    ) -> Iterator[DocumentInfo]:
        """Yield all documents, read page by page; ``timeout`` is for each page."""
        yield from iterate(self._core.all(filter=filter, order=order, timeout=timeout))

    chunks = make_blocking(AsyncDocuments.chunks)
    skipped = make_blocking(AsyncDocuments.skipped)
