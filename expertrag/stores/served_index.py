"""The served generation of a store, and its replacement by the next."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from expertrag.api import validation
from expertrag.api.errors import InvalidArgument
from expertrag.api.info import IndexStats
from expertrag.api.types import DocumentInput, ItemStatus, Scalar, UpdateReport
from expertrag.llm.base import ShouldStop, never_stop
from expertrag.runtime.files import FileState, file_state
from expertrag.runtime.hot_swap import HotSwap
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import EmbedderMismatchError, StoreLockedError
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.metadata import NestingError, flatten
from expertrag_index.store.opening import NONE_OPEN, OpenParts
from expertrag_index.store.schema import Seal
from expertrag_index.types import BuildReport, CompactReport, Document, LoadFailure, MetadataValue
from expertrag_index.upkeep.compact import compact, measure_waste, shrink_log
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.gate import Gate
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag_retriever.base import Embedder

LoadEmbedder = Callable[[], "Embedder"]

_log = structlog.get_logger("expertrag.index")

_LOCK_WAIT_S = 10.0
_COMPARE_EVERY_S = 600.0  # how long a state of the database that was compared is trusted
WASTEFUL = 0.2
"""Share of a store that is deleted, from which it is compacted: writers merge at a quarter, so that
less would rewrite all for little."""
_MOST_NAMES, _NAME_BYTES = 1_000, 64 * 1024
_MOST_PARTS = 16
"""Sets of access labels whose part of a generation is kept; others read their documents again."""
API_SOURCE = "api"
"""``Document.source`` of documents added through the API."""


@dataclass(frozen=True, slots=True)
class View:
    """One generation with its searcher and gate, and the embedder that built it."""

    embedder: Embedder
    index: Index
    searcher: Searcher
    gate: Gate
    _parts: OrderedDict[frozenset[str], _SeenPart] = field(default_factory=OrderedDict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def of(cls, embedder: Embedder, index: Index) -> View:
        """Return the view of an index."""
        return cls(embedder, index, Searcher(index, embedder), Gate(index))

    def restrict_to(self, labels: frozenset[str] | None) -> View:
        """Return the part of it that a caller with these access labels sees; None sees all."""
        if labels is None or not self.index.manifest.has_labels:
            return self
        # labels that no document has make no difference: such callers share a part
        labels &= self.index.labels()
        with self._lock:
            part = self._parts.setdefault(labels, _SeenPart())
            self._parts.move_to_end(labels)
            if len(self._parts) > _MOST_PARTS:
                self._parts.popitem(last=False)
        with part.making:  # callers with other labels do not wait
            if part.view is None:
                part.view = View.of(self.embedder, self.index.restrict(labels))
            return part.view


@dataclass(slots=True)
class _SeenPart:
    """What callers with one set of labels see; ``making`` lets one thread make it."""

    making: threading.Lock = field(default_factory=threading.Lock)
    view: View | None = None


class ServedIndex:
    """Holds the current view; replaces it while requests run on the old one.

    A request leases a view for its whole lifetime, so an answer never mixes generations. The old
    generation is closed when its last lease ends. If the store is migrated to another embedder,
    that embedder is loaded and takes over with its generation.
    """

    def __init__(
        self,
        store: Path,
        embedder: Embedder,
        load_embedder: LoadEmbedder | None = None,
    ) -> None:
        """Open the published generation.

        :param load_embedder: loads the embedder that the store names; without it, generations of
            another embedder are not served.
        :raises EmbedderMismatchError: if the store has another embedder.
        """
        self._store = store
        self._load_embedder = load_embedder
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._swap = HotSwap(Layout(store).current, "index", self._replace)
        self._leases: dict[int, int] = {}
        self._known: Seal | None = None
        self._compared_at = -math.inf
        self._weighed: FileState = None  # the generation whose waste is known
        self._view = self._open(embedder)

    @contextmanager
    def lease(self, labels: frozenset[str] | None = None) -> Iterator[View]:
        """Use the current view; it stays open until the block ends.

        :param labels: access labels of the caller; None sees every document.
        """
        self._swap.follow()
        with self._lock:
            view = self._view
            self._leases[id(view)] = self._leases.get(id(view), 0) + 1
        try:
            yield view.restrict_to(labels)
        finally:
            with self._lock:
                self._leases[id(view)] -= 1
                close = not self._leases[id(view)] and view is not self._view
                if not self._leases[id(view)]:
                    del self._leases[id(view)]
            if close:
                view.index.close()

    def upsert(self, documents: Iterable[DocumentInput]) -> UpdateReport:
        """Store documents as one generation; invalid ones are reported, the rest are stored."""
        items: list[ItemStatus] = []
        failures: list[LoadFailure] = []
        with self._writing() as writer:
            report = writer.add(_accept(documents, items), failures)
        return _report(report, items)

    def delete(self, ids: Sequence[str]) -> UpdateReport:
        """Delete documents as one generation; unknown ids are reported."""
        with self._writing() as writer:
            report = writer.delete(ids)
        return _report(report, [])

    def compact_if_wasteful(
        self, quiet_s: float, should_stop: ShouldStop = never_stop
    ) -> CompactReport | None:
        """Compact the store if much of it is deleted, and nobody has written to it for a while.

        Searches go on; writes of this process wait. A generation is tried once.

        :param quiet_s: least age of the published generation, in seconds.
        :param should_stop: raises to end the compaction between its stages.
        :returns: None if there was nothing to do, or another process is writing.
        :raises IndexStoreError: the store is damaged, or there is no space; it is unchanged.
        """
        current = Layout(self._store).current
        with self._write_lock:
            published = file_state(current)
            age_s = time.time() - current.stat().st_mtime
            if published == self._weighed or age_s < quiet_s:
                return None
            self._weighed = published  # also if it fails: the same would happen again
            if measure_waste(self._store) < WASTEFUL:
                return None
            try:
                report = compact(self._store, progress=lambda *_: should_stop())
            except StoreLockedError:
                self._weighed = None
                return None
            for _ in range(2):  # the second time, the log is in the database: no reader needs it
                self.reload()
                if shrink_log(self._store):
                    break
            return report

    def reload(self) -> None:
        """Serve the newest generation; the old one is closed when it is no longer leased."""
        self._swap.now()

    def _replace(self) -> None:
        new = self._open_next()
        with self._lock:
            old, self._view = self._view, new
            unused = id(old) not in self._leases
        if unused:
            old.index.close()

    def stats(self, labels: frozenset[str] | None = None) -> IndexStats:
        """Describe the current view, as a caller with these access labels sees it."""
        with self.lease(labels) as view:
            return describe(view.index)

    @property
    def generation(self) -> int:
        """Number of the generation of the current view."""
        return self._view.index.generation

    @property
    def memory_bytes(self) -> int:
        """Size of the vectors of the current view, which are in memory."""
        return sum(file.bytes for file in self._view.index.manifest.files)

    def close(self) -> None:
        """Close the current view."""
        self._view.index.close()

    def _open(self, embedder: Embedder, reuse: OpenParts = NONE_OPEN) -> View:
        if time.monotonic() - self._compared_at > _COMPARE_EVERY_S:
            self._known = None
        known = self._known
        index = Index.open(
            self._store, embedder_fingerprint=embedder.fingerprint, known=known, reuse=reuse
        )
        with ExitStack() as opened:
            opened.callback(index.close)
            self._known = index.seal
            if self._known != known:
                self._compared_at = time.monotonic()
            if index.degradation:
                _log.warning("index degraded", reason=index.degradation)
            view = View.of(embedder, index)
            opened.pop_all()
        return view

    def _open_next(self) -> View:
        """Open the published generation, with another embedder if it was migrated to one."""
        try:
            return self._open(self._view.embedder, self._view.index.open_parts)
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
            self._swap.follow(wait=True)
            embedder = self._view.embedder
            calibrate = calibrator(embedder)
            settings = WriterSettings(lock_wait_s=_LOCK_WAIT_S)
            reuse = self._view.index.open_parts
            with IndexWriter.open(
                self._store, embedder, calibrate=calibrate, settings=settings, reuse=reuse
            ) as writer:
                # A reader that is opened after the writer's checkpoint lets SQLite restart its WAL;
                # without this it grew by 180 KB with every small upsert.
                self.reload()
                writer.trust(self._known)
                yield writer
                self._known = writer.seal
            self.reload()


def describe(index: Index) -> IndexStats:
    """Return the statistics of an open index."""
    manifest = index.manifest
    domains = sorted(manifest.domains.items(), key=lambda item: (-item[1], item[0]))
    return IndexStats(
        generation=index.generation,
        documents=manifest.documents,
        chunks=manifest.chunks,
        embedder=manifest.embedder.name,
        dimension=index.dimension,
        domains=dict(domains[:_MOST_NAMES]),
        metadata_fields=_fitting(manifest.fields),
        size_bytes=index.size_bytes,
        recall=manifest.recall_at_10,
        created_at=manifest.created_at,
        degraded=index.degradation,
        partitions=manifest.partitions,
        domain_count=len(manifest.domains),
        metadata_field_count=len(manifest.fields),
    )


def _fitting(names: Iterable[str]) -> tuple[str, ...]:
    """Return the first names, as many as a message may hold."""
    names = tuple(names)[:_MOST_NAMES]
    lengths = itertools.accumulate(len(name.encode()) for name in names)
    return tuple(name for name, so_far in zip(names, lengths, strict=True) if so_far <= _NAME_BYTES)


def _accept(documents: Iterable[DocumentInput], items: list[ItemStatus]) -> Iterator[Document]:
    """Yield the valid documents, and append a status for every one to ``items``."""
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
            labels=tuple(document.labels),
        )


def _scalar(value: object, name: str) -> Scalar:
    if not isinstance(value, str | int | float | bool):
        kind = "null" if value is None else f"a {type(value).__name__}"
        raise validation.invalid("metadata", f"{name!r} holds {kind}; change or omit it")
    return value


def _report(report: BuildReport, items: list[ItemStatus]) -> UpdateReport:
    """Merge the results of validation and of the store for each document.

    Of several documents with the same id, the store keeps the first, so failures go to the last.
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
