"""Brings a store into step with a list of sources, once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.sources.base import DocumentSource, SourceItems
from expertrag_index.sources.plan import SourcePlan
from expertrag_index.sources.step import OpenWriter, Stepper, StepReport
from expertrag_index.types import LoadFailure
from expertrag_index.upkeep.removals import refuse_removals

_FEW = 10
_MOST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a run did.

    ``dropped``: keys of sources that the list does not name any more, with the number of their
    documents, which are among those removed. ``unclaimed``: documents that look like a source's,
    but were not read from it.
    """

    step: StepReport
    dropped: Mapping[str, int]
    unclaimed: int


class _DroppedSource:
    """A source that the list does not name any more: it holds nothing."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.limits = ReadLimits()

    def covers(self, source: str) -> bool:
        """Return False: it takes nothing over."""
        return False

    def listing(self, known: Mapping[str, str]) -> SourceItems:
        """Return no items."""
        return SourceItems()


class SourceSync:
    """Brings a store into step with the sources of one list, as often as asked."""

    def __init__(self, store: Path, list_file: Path, open_writer: OpenWriter) -> None:
        """Name a store and the list's file, by which sources that it drops are known."""
        self._list_name = str(list_file.resolve())
        self._stepper = Stepper(store, open_writer, self._list_name)

    def run(
        self, sources: Sequence[DocumentSource], *, confirmed: bool = False, adopt: bool = False
    ) -> SyncReport:
        """Bring the store into step.

        :param confirmed: delete any number of documents.
        :param adopt: let the sources take over stored documents that look like theirs.
        :raises TooManyRemovalsError: over half of the store would be deleted; it is unchanged.
        :raises StoreLockedError: another process is writing.
        :raises IndexStoreError: the store is damaged, or there is no space; it is unchanged.
        """
        started = time.monotonic()
        for source in sources if adopt else ():
            self._stepper.adopt(source)
        dropped = self._drop_unlisted(sources)
        plans = self._stepper.plan([*sources, *map(_DroppedSource, dropped)])
        for plan in plans:
            if plan.unavailable:
                plan.failures.append(_unavailable(plan))
        self._check_removals(plans, dropped, confirmed=confirmed)
        counts = {
            plan.source.key: self._stepper.documents_of(plan.gone)[0]
            for plan in plans
            if plan.source.key in dropped
        }
        report = self._stepper.apply(plans)
        with self._stepper.ledger() as ledger:
            for key in dropped:
                if not ledger.items(key):
                    ledger.drop(key)
        unclaimed = sum(plan.unclaimed for plan in plans)
        report = replace(report, seconds=time.monotonic() - started)
        return SyncReport(report, counts, unclaimed)

    def _drop_unlisted(self, sources: Sequence[DocumentSource]) -> list[str]:
        """Return the keys that are not listed any more, less what other sources take over."""
        with self._stepper.ledger() as ledger:
            dropped = sorted(ledger.read_list(self._list_name) - {source.key for source in sources})
            for key in dropped:
                for source in sources:
                    ledger.adopt(source.key, source.covers, ledger.items(key))
            return dropped

    def _check_removals(
        self, plans: Sequence[SourcePlan], dropped: Sequence[str], *, confirmed: bool
    ) -> None:
        removed, total = self._stepper.documents_of([name for plan in plans for name in plan.gone])
        if confirmed or removed <= max(_FEW, _MOST_SHARE * total):
            return
        because = f", as {', '.join(dropped)} left the list" if dropped else ""
        refuse_removals(removed, total, because)


def _unavailable(plan: SourcePlan) -> LoadFailure:
    cure = "its documents are kept; run again when it is there"
    return LoadFailure(plan.source.key, plan.unavailable, cure)
