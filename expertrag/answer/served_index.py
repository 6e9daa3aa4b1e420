"""The generation of a store that answers now, and how it is exchanged for the next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from expertrag.api import validation
from expertrag.api.errors import InvalidArgument
from expertrag.api.types import DocumentInput, IndexStats, ItemStatus, Scalar, UpdateReport
from expertrag_index.build import IndexWriter
from expertrag_index.errors import EmbedderMismatchError
from expertrag_index.index import Index
from expertrag_index.layout import Layout
from expertrag_index.metadata import NestingError, flatten
from expertrag_index.types import BuildReport, Document, LoadFailure, MetadataValue
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.gate import Gate
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

LoadEmbedder = Callable[[], "SentenceTransformerEmbedder"]

_log = structlog.get_logger("expertrag.index")

_RETRY_SECONDS = 30.0  # after a generation could not be opened

API_SOURCE = "api"
"""``Document.source`` of documents that came over the API."""


@dataclass(frozen=True, slots=True)
class View:
    """One generation with all that reads it, and the embedder that it was made with."""

    embedder: SentenceTransformerEmbedder
    index: Index
    searcher: Searcher
    gate: Gate


class ServedIndex:
    """Holds the current view; exchanges it while requests run on the old one.

    A request leases a view for its whole life, so an answer never mixes generations. The old
    generation is closed when its last lease ends. When the store has been moved to another
    embedder, that one is loaded and takes over with its generation.
    """

    def __init__(
        self,
        store: Path,
        embedder: SentenceTransformerEmbedder,
        load_embedder: LoadEmbedder | None = None,
    ) -> None:
        """Open the published generation.

        :param load_embedder: loads the embedder that the store names; without it, a generation of
            another embedder is not followed.
        :raises EmbedderMismatchError: the store is of another embedder now.
        """
        self._store = store
        self._load_embedder = load_embedder
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._reload_lock = threading.Lock()
        self._leases: dict[int, int] = {}
        self._published = _published(store)
        self._retry_at = 0.0
        self._view = self._open(embedder)

    @contextmanager
    def lease(self) -> Iterator[View]:
        """Use the current view; it stays open until the block ends."""
        self._follow()
        with self._lock:
            view = self._view
            self._leases[id(view)] = self._leases.get(id(view), 0) + 1
        try:
            yield view
        finally:
            with self._lock:
                self._leases[id(view)] -= 1
                close = not self._leases[id(view)] and view is not self._view
                if not self._leases[id(view)]:
                    del self._leases[id(view)]
            if close:
                view.index.close()

    def upsert(self, documents: Iterable[DocumentInput]) -> UpdateReport:
        """Store documents as one generation; a bad one is reported and the rest goes on."""
        items: list[ItemStatus] = []
        failures: list[LoadFailure] = []
        with self._writing() as writer:
            report = writer.add(_accepted(documents, items), failures)
        return _report(report, items)

    def delete(self, ids: Sequence[str]) -> UpdateReport:
        """Delete documents as one generation; an unknown id is reported."""
        with self._writing() as writer:
            report = writer.delete(ids)
        return _report(report, [])

    def reload(self) -> None:
        """Serve the newest generation; the old one is closed when nobody uses it."""
        with self._reload_lock:
            self._exchange()

    def _follow(self, *, wait: bool = False) -> None:
        """Reload when another process has published; if that fails, go on with what there is.

        :param wait: for another thread that is reloading.
        """
        if _published(self._store) == self._published or time.monotonic() < self._retry_at:
            return
        if not self._reload_lock.acquire(blocking=wait):
            return
        try:
            if _published(self._store) != self._published:
                self._exchange()
        # Opening a generation may load a model, which fails in ways of its own (CUDA out of
        # memory); a request that can be served by the old one is not to fail for it.
        except Exception as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            _log.warning("reload failed", error=str(error))
        finally:
            self._reload_lock.release()

    def _exchange(self) -> None:
        published = _published(self._store)  # before it is read: it may change meanwhile
        new = self._open_next()
        self._published = published
        with self._lock:
            old, self._view = self._view, new
            unused = id(old) not in self._leases
        if unused:
            old.index.close()

    def stats(self) -> IndexStats:
        """Describe the current view."""
        with self.lease() as view:
            return describe(view.index)

    def close(self) -> None:
        """Close the current view."""
        self._view.index.close()

    def _open(self, embedder: SentenceTransformerEmbedder) -> View:
        index = Index.open(self._store, embedder_fingerprint=embedder.fingerprint)
        if index.degraded:
            _log.warning("index degraded", reason=index.degraded)
        return View(embedder, index, Searcher(index, embedder), Gate(index))

    def _open_next(self) -> View:
        """Open the published generation, by another embedder where it was moved to one."""
        try:
            return self._open(self._view.embedder)
        except EmbedderMismatchError:
            if self._load_embedder is None:
                raise
        embedder = self._load_embedder()
        _log.info("embedder changed", embedder=embedder.name)
        return self._open(embedder)

    @contextmanager
    def _writing(self) -> Iterator[IndexWriter]:
        """Write one generation, then serve it."""
        with self._write_lock:
            self._follow(wait=True)
            embedder = self._view.embedder
            calibrate = calibrator(embedder)
            with IndexWriter.open(self._store, embedder, calibrate=calibrate) as writer:
                # Opened after the writer has checkpointed, a reader leaves SQLite free to restart
                # its log; without this it grew by 180 KB with every small upsert.
                self.reload()
                yield writer
            self.reload()


def _published(store: Path) -> tuple[int, int] | None:
    """Identify the published generation by its file, cheaply enough to ask at every request."""
    try:
        found = Layout(store).current.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def describe(index: Index) -> IndexStats:
    """Return the statistics of an open index."""
    manifest = index.manifest
    return IndexStats(
        generation=index.generation,
        documents=manifest.documents,
        chunks=manifest.chunks,
        embedder=manifest.embedder.name,
        dimension=index.dimension,
        domains=manifest.domains,
        metadata_fields=tuple(manifest.fields),
        size_bytes=index.size_bytes,
        recall=manifest.recall_at_10,
        created_at=manifest.created_at,
        degraded=index.degraded,
        partitions=manifest.partitions,
    )


def _accepted(documents: Iterable[DocumentInput], items: list[ItemStatus]) -> Iterator[Document]:
    """Yield the documents that pass the checks; note what became of every one."""
    for document in documents:
        try:
            validation.check_document(document)
            metadata: Mapping[str, MetadataValue] = flatten(document.metadata, _scalar)
        except InvalidArgument as error:
            items.append(ItemStatus(document.id, error.message))
            continue
        except NestingError as error:
            items.append(ItemStatus(document.id, f"metadata: {error}; flatten or shorten it"))
            continue
        items.append(ItemStatus(document.id))
        yield Document(
            id=document.id,
            text=document.text,
            title=document.title,
            metadata=metadata,
            domain=document.domain,
            source=API_SOURCE,
        )


def _scalar(value: object, name: str) -> Scalar:
    if not isinstance(value, str | int | float | bool):
        kind = "null" if value is None else f"a {type(value).__name__}"
        raise validation.invalid("metadata", f"{name!r} holds {kind}; change or leave it out")
    return value


def _report(report: BuildReport, items: list[ItemStatus]) -> UpdateReport:
    """Merge what the checks and the store said of each document.

    Of several documents with one id the store keeps the first, so its failures go to the last.
    """
    refused: dict[str, list[str]] = {}
    for failure in report.failures:
        reasons = refused.setdefault(failure.document_id, [])
        reasons.append(f"{failure.reason}; {failure.cure}")
    merged = []
    for item in reversed(items):
        reasons = [] if item.error else refused.get(item.id, [])
        merged.append(ItemStatus(item.id, reasons.pop()) if reasons else item)
    merged.reverse()
    merged += [ItemStatus(name, reason) for name, left in refused.items() for reason in left]
    return UpdateReport(
        generation=report.generation,
        added=report.added,
        changed=report.changed,
        unchanged=report.unchanged,
        removed=report.removed,
        items=tuple(merged),
    )
