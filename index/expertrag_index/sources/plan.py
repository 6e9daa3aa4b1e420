"""Finds out what has to be read and deleted to bring a store into step with a source."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from expertrag_index.sources.base import DocumentSource, SourceItem, SourceItems
from expertrag_index.sources.ledger import KnownItem
from expertrag_index.types import LoadFailure


@dataclass(slots=True)
class SourcePlan:
    """The difference between a source and what the store holds of it.

    ``listed``: names of the items that the source has; ``changed``: items to read; ``gone``:
    ``Document.source`` of documents to delete; ``failures``: what could not be listed; ``marks``:
    versions to record; ``unchanged``, ``unclaimed``: documents that need no reading, and those that
    look like the source's, but that it did not write.
    """

    source: DocumentSource
    listed: Collection[str] = ()
    changed: list[SourceItem] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    failures: list[LoadFailure] = field(default_factory=list)
    marks: dict[str, KnownItem] = field(default_factory=dict)
    unchanged: int = 0
    unclaimed: int = 0
    unavailable: str = ""


@dataclass(frozen=True)
class StoreState:
    """What a store and its ledger hold.

    ``stored``: number of documents by their sources; ``owners``: key of the source of each item.
    """

    stored: Mapping[str, int]
    owners: Mapping[str, str]

    @cached_property
    def strangers(self) -> list[str]:
        """Sources of documents that nobody has claimed."""
        return [name for name in self.stored if name not in self.owners]


def plan_of(
    source: DocumentSource,
    listing: SourceItems,
    known: Mapping[str, KnownItem],
    state: StoreState,
) -> SourcePlan:
    """Compare what a source lists with what is known of it.

    An item is read if its version is new, or if the store does not hold what the item gave.
    """
    plan = SourcePlan(
        source,
        listed=listing.items.keys(),
        failures=listing.failures,
        unavailable=listing.unavailable,
    )
    if plan.unavailable:
        return plan
    owners, stored = state.owners, state.stored
    others = [name for name in listing.items if owners.get(name, source.key) != source.key]
    if others:
        plan.failures.append(_of_another(source, others, owners[others[0]]))
    for name, item in listing.items.items():
        if owners.get(name, source.key) != source.key:
            continue
        if known.get(name) == KnownItem(item.version, stored.get(name, 0)):
            plan.unchanged += stored.get(name, 0)
        else:
            plan.changed.append(item)
    for name, version in listing.marks.items():
        plan.marks[name] = KnownItem(version, stored.get(name, 0))
    kept = [failure.source for failure in listing.failures if not failure.notice]

    def is_missing(name: str) -> bool:
        return name not in listing.items and not any(covers(up, name) for up in kept)

    plan.gone = [name for name in known if is_missing(name)]
    strangers = (name for name in state.strangers if source.covers(name) and is_missing(name))
    plan.unclaimed = sum(stored[name] for name in strangers)
    return plan


def covers(failed: str, source: str) -> bool:
    """Return whether a source is what failed, or is below the folder that failed."""
    return source == failed or source.startswith(failed.rstrip(os.sep) + os.sep)


def _of_another(source: DocumentSource, names: list[str], owner: str) -> LoadFailure:
    count = f"{len(names):,} file{'s' * (len(names) > 1)}, such as {names[0]},"
    return LoadFailure(
        source.key,
        f"{count} belong to {owner}, which has the same name",
        "rename one of the two folders; if it was moved here, run once with --adopt",
    )
