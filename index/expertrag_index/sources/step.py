"""Brings a store into step with its sources: one write for all that changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from expertrag_index.build.writer import IndexWriter
from expertrag_index.loaders.base import SourceFile
from expertrag_index.loaders.load import add_labels
from expertrag_index.loaders.parse import failure_of
from expertrag_index.loaders.pool import parse_all
from expertrag_index.sources.base import DocumentSource, SourceItem, SourceItems
from expertrag_index.sources.ledger import KnownItem, Ledger
from expertrag_index.sources.plan import SourcePlan, StoreState, plan_of
from expertrag_index.sources.stored import StoredSources
from expertrag_index.store.layout import Layout
from expertrag_index.types import Document, LoadFailure

OpenWriter = Callable[[], IndexWriter]

_LISTED_TOGETHER = 4  # few enough for a server that has all pages of a list


@dataclass(frozen=True, slots=True)
class StepReport:
    """What a step did. Counts are documents; ``unchanged`` includes those that were not read.

    ``read`` and ``gone``: ``Document.source`` of the items that were read and deleted.
    """

    generation: int
    added: int
    changed: int
    unchanged: int
    removed: int
    failures: tuple[LoadFailure, ...]
    seconds: float
    read: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    @property
    def wrote(self) -> bool:
        """Whether a document was added, changed or removed."""
        return bool(self.added or self.changed or self.removed)


class Stepper:
    """Brings one store into step, as often as asked."""

    def __init__(self, store: Path, open_writer: OpenWriter, list_name: str = "") -> None:
        """Name a store, which is created if it is missing.

        :param open_writer: opens the store for writing.
        :param list_name: the list that names the sources; empty if none does.
        """
        self._store = store
        self._open_writer = open_writer
        self._list_name = list_name
        self._stored = StoredSources(store)

    def ledger(self) -> Ledger:
        """Open the store's ledger: anew each time, as a restore replaces the store with its files.

        :raises IndexStoreError: as ``open_writer``, if the store has to be created.
        """
        if not Layout(self._store).lock.exists():
            self._open_writer().close()
        return Ledger(self._store)

    def plan(self, sources: Sequence[DocumentSource]) -> list[SourcePlan]:
        """Compare sources with the store."""
        with self.ledger() as ledger:
            for source in sources:
                ledger.register(source.key, source.limits.fingerprint, self._list_name)
            known = [ledger.items(source.key) for source in sources]
            owners = ledger.owners()
        # most of the time of a list of pages is waiting for servers
        with ThreadPoolExecutor(_LISTED_TOGETHER) as pool:
            listings = list(pool.map(_listing, sources, known))
        state = StoreState(self._stored(), owners)
        return list(map(plan_of, sources, listings, known, repeat(state)))

    def adopt(self, source: DocumentSource) -> None:
        """Let a source take over the stored documents that look like its own."""
        with self.ledger() as ledger:
            ledger.adopt(source.key, source.covers, self._stored())

    def documents_of(self, sources: Collection[str]) -> tuple[int, int]:
        """Return how many documents the store holds of these sources, and in all."""
        stored = self._stored()
        return sum(stored.get(source, 0) for source in sources), sum(stored.values())

    def apply(self, plans: Sequence[SourcePlan]) -> StepReport:
        """Read what changed and delete what is gone, as one generation or none.

        :raises StoreLockedError: another process is writing.
        :raises IndexStoreError: the store is damaged, or there is no space; it is unchanged.
        """
        started = time.monotonic()
        failures = [failure for plan in plans for failure in plan.failures]
        read = [item.source for plan in plans for item in plan.changed]
        gone = [name for plan in plans for name in plan.gone]
        unread = sum(plan.unchanged for plan in plans)
        done = None
        if read or gone:
            with self._open_writer() as writer:
                with self.ledger() as ledger:
                    for plan in plans:
                        ledger.claim(plan.source.key, [item.source for item in plan.changed])
                done = writer.refresh(_documents(plans, failures), {*read, *gone}, failures)
            failures = list(done.failures)
        self._record(plans, failures)
        return StepReport(
            generation=done.generation if done else 0,
            added=done.added if done else 0,
            changed=done.changed if done else 0,
            unchanged=unread + (done.unchanged if done else 0),
            removed=done.removed if done else 0,
            failures=tuple(failures),
            seconds=time.monotonic() - started,
            read=tuple(read),
            gone=tuple(gone),
        )

    def _record(self, plans: Sequence[SourcePlan], failures: Sequence[LoadFailure]) -> None:
        stored = self._stored()
        failed = {failure.source for failure in failures if not failure.notice}
        with self.ledger() as ledger:
            for plan in plans:
                items = {
                    item.source: KnownItem(item.version, stored.get(item.source, 0))
                    for item in plan.changed
                    if item.source not in failed
                }
                ledger.record(plan.source.key, {**items, **plan.marks})
                ledger.forget(name for name in plan.gone if not stored.get(name))
            read = {item.source for plan in plans for item in plan.changed}
            read.update(*(plan.gone for plan in plans), (failure.source for failure in failures))
            ledger.keep_skipped(
                failures,
                lambda source: source in read or any(_is_gone(plan, source) for plan in plans),
            )


def _is_gone(plan: SourcePlan, source: str) -> bool:
    """Whether a file or folder that was of a source is not there any more."""
    of_it = plan.source.covers(source) or plan.source.covers(f"{source}/")
    return of_it and not plan.unavailable and source not in plan.listed


def _listing(source: DocumentSource, known: Mapping[str, KnownItem]) -> SourceItems:
    return source.listing({name: item.version for name, item in known.items() if item.version})


def _documents(plans: Sequence[SourcePlan], failures: list[LoadFailure]) -> Iterator[Document]:
    """Read the changed items; append what cannot be read to ``failures``."""
    for plan in plans:
        limits = plan.source.limits
        for item in parse_all(_files(plan.changed), limits.max_file_s):
            if isinstance(item, Document):
                yield add_labels(item, limits.labels, limits.labels_field)
            else:
                failures.append(item)


def _files(items: Sequence[SourceItem]) -> Iterator[SourceFile | LoadFailure]:
    for item in items:
        try:
            file = item.fetch()
        except Exception as error:  # of any library that fetches
            yield failure_of(item.source, error)
        else:
            yield file
