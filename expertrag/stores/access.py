"""The documents of a served store, as one caller may see and change them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager

from expertrag.api.access import EVERYTHING
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
from expertrag.api.info import IndexStats
from expertrag.api.types import DocumentInput, UpdateReport
from expertrag.llm.base import ShouldStop, never_stop
from expertrag.runtime.error_mapping import translate_errors
from expertrag.stores import documents
from expertrag.stores.served_index import ServedIndex, View


class StoreAccess:
    """Reads and changes a served store. It shows what ``_access`` allows; writes see everything."""

    def __init__(self, served: ServedIndex) -> None:
        """Take the store, which is closed with this."""
        self._served = served
        self._access = EVERYTHING

    def close(self) -> None:
        """Close the store; running searches finish first."""
        self._served.close()

    def get_document(self, request: GetDocumentRequest) -> DocumentText:
        """Return a range of a document's text."""
        with translate_errors(), self._lease() as view:
            return documents.get_document(view.index, request)

    def list_documents(self, request: ListDocumentsRequest) -> DocumentPage:
        """Return a page of the documents that a filter admits."""
        with translate_errors(), self._lease() as view:
            return documents.list_documents(view.index, request)

    def list_chunks(self, request: ListChunksRequest) -> ChunkPage:
        """Return a page of a document's chunks."""
        with translate_errors(), self._lease() as view:
            return documents.list_chunks(view.index, request)

    def list_skipped(self, request: ListSkippedRequest) -> SkippedPage:
        """Return a page of what was skipped when the sources of the store were last read."""
        with translate_errors(), self._lease() as view:
            return documents.list_skipped(view.index, request)

    def upsert(self, documents: Iterable[DocumentInput]) -> UpdateReport:
        """Add or replace documents as one new generation, and serve it."""
        with translate_errors():
            return self._served.upsert(documents)

    def delete(self, ids: Sequence[str]) -> UpdateReport:
        """Delete documents as one new generation, and serve it."""
        with translate_errors():
            return self._served.delete(ids)

    def compact_if_wasteful(self, quiet_s: float, should_stop: ShouldStop = never_stop) -> bool:
        """Compact the store if a fifth of it is deleted; see :class:`ServedIndex`.

        :param quiet_s: least age of the published generation, in seconds.
        :returns: whether it was compacted.
        """
        with translate_errors():
            return self._served.compact_if_wasteful(quiet_s, should_stop) is not None

    @property
    def generation(self) -> int:
        """The served generation of the store."""
        return self._served.generation

    def reload(self) -> None:
        """Serve the newest generation of the store."""
        with translate_errors():
            self._served.reload()

    def stats(self) -> IndexStats:
        """Describe the served generation."""
        with translate_errors():
            return self._served.stats(self._access.labels)

    @property
    def memory_bytes(self) -> int:
        """Size of the vectors of the served generation, which are in memory."""
        return self._served.memory_bytes

    def _lease(self) -> AbstractContextManager[View]:
        return self._served.lease(self._access.labels)
