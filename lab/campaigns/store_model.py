"""What a store must hold after each change: documents in a dict, without SQLite or FAISS."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from store_helper import HashingEmbedder

from expertrag_index.build.chunk import Chunker
from expertrag_index.store.manifest import GENERAL
from expertrag_index.types import BuildReport, Chunk, Document

_serials = itertools.count()


@dataclass(frozen=True, eq=False)
class Version:
    """A document as it was stored by one change, and the expert of its vectors."""

    document: Document
    expert: str
    serial: int = field(default_factory=lambda: next(_serials))

    @cached_property
    def chunks(self) -> list[Chunk]:
        """Its chunks; all embedders of the campaigns have the same limit and tokens."""
        embedder = HashingEmbedder()
        return Chunker(embedder.max_tokens, embedder.count_tokens).split(self.document)


"""Versions whose chunks count in the statistics of BM25."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What a change must report."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    failures: int = 0

    @classmethod
    def of(cls, report: BuildReport) -> Counts:
        """Read the counts of a report."""
        return cls(
            report.added, report.changed, report.unchanged, report.removed, len(report.failures)
        )


@dataclass(frozen=True, slots=True, eq=False)
class StoreModel:
    """A published generation; 0 before the first one. Changes return the next state.

    ``backups`` and ``replicas``: what the store's backup may hold, and the store that was restored
    from it to another folder; also certain except after a crash, and None before the first one.
    ``slack``: how much higher the generation's number may be. A restore takes the number after the
    last one that it finds, which a killed writer may have left without publishing it.
    """

    generation: int = 0
    embedder: HashingEmbedder = field(default_factory=HashingEmbedder)
    live: Mapping[str, Version] = field(default_factory=dict)
    backups: tuple[StoreModel | None, ...] = (None,)
    replicas: tuple[StoreModel | None, ...] = (None,)
    slack: int = 0

    @property
    def documents(self) -> dict[str, Document]:
        """The documents by id."""
        return {name: version.document for name, version in self.live.items()}

    def build(self, documents: Iterable[Document]) -> tuple[StoreModel, Counts]:
        """Make the store hold exactly these documents."""
        return self._update(documents, vanish=True)

    def add(self, documents: Iterable[Document]) -> tuple[StoreModel, Counts]:
        """Add or replace documents; one of another source keeps its place."""
        return self._update(documents, vanish=False)

    def delete(self, names: Sequence[str]) -> tuple[StoreModel, Counts]:
        """Remove documents by id."""
        gone = set(names) & self.live.keys()
        counts = Counts(removed=len(gone), failures=len(set(names) - gone))
        live = {name: version for name, version in self.live.items() if name not in gone}
        return (self._next(live) if gone else self), counts

    def migrate(self, embedder: HashingEmbedder) -> tuple[StoreModel, Counts]:
        """Encode all documents by another embedder."""
        live = {}
        for name, version in self.live.items():
            expert = _expert(embedder, version.document)
            same = _space(embedder, expert) == _space(self.embedder, version.expert)
            kept = same and expert == version.expert
            live[name] = version if kept else Version(version.document, expert)
        changed = sum(live[name] is not version for name, version in self.live.items())
        counts = Counts(changed=changed, unchanged=len(live) - changed)
        if not changed and embedder.fingerprint == self.embedder.fingerprint:
            return self, counts
        return replace(self._next(live), embedder=embedder), counts

    def compact(self) -> tuple[StoreModel, Counts]:
        """Publish the same documents."""
        return replace(self, generation=self.generation + 1), Counts()

    def copy(self) -> tuple[StoreModel, Counts]:
        """Back the store up, and restore the backup to another folder."""
        backup = replace(self, backups=(None,), replicas=(None,))
        counts = Counts(unchanged=len(self.live))
        return replace(self, backups=(backup,), replicas=(backup,)), counts

    def restore(self) -> tuple[StoreModel, Counts]:
        """Replace the store by its backup, under a new number."""
        (backup,) = self.backups
        assert backup is not None, "there is a backup"
        lowest = max(backup.generation, self.generation + 1)
        highest = max(backup.generation + backup.slack, self.generation + self.slack + 2)
        restored = replace(
            backup,
            generation=lowest,
            slack=highest - lowest,
            backups=self.backups,
            replicas=self.replicas,
        )
        return restored, Counts(unchanged=len(backup.live))

    def restricted(self, labels: Collection[str]) -> StoreModel:
        """Return what a reader with these access labels sees, as a store of its own."""
        if not any(version.document.labels for version in self.live.values()):
            return self
        live = {
            name: version
            for name, version in self.live.items()
            if not version.document.labels or set(labels) & set(version.document.labels)
        }
        return replace(self, live=live)

    def repaired(self) -> StoreModel:
        """Return the generation that a repair of derived files publishes: the same documents."""
        return replace(self, generation=self.generation + 1)

    def interrupted(self, planned: StoreModel) -> tuple[StoreModel, StoreModel]:
        """Return this state and the planned one as a crash in between may leave them."""
        backups = tuple(dict.fromkeys((*self.backups, *planned.backups)))
        replicas = tuple(dict.fromkeys((*self.replicas, *planned.replicas)))
        return (
            replace(self, backups=backups, replicas=replicas),
            replace(planned, backups=backups, replicas=replicas),
        )

    def _update(self, documents: Iterable[Document], *, vanish: bool) -> tuple[StoreModel, Counts]:
        live = dict(self.live)
        seen: set[str] = set()
        failed: list[Document] = []
        added = changed = unchanged = 0
        for document in documents:
            stored = self.live.get(document.id)
            foreign = not vanish and stored and stored.document.source != document.source
            if document.id in seen or not _is_storable(document) or foreign:
                failed.append(document)
                continue
            seen.add(document.id)
            if stored and stored.document == document:
                unchanged += 1
            elif "poison" in document.text.split():
                failed.append(document)
            else:
                live[document.id] = Version(document, _expert(self.embedder, document))
                added, changed = added + (stored is None), changed + (stored is not None)
        gone = self._vanished(seen, failed) if vanish else set()
        live = {name: version for name, version in live.items() if name not in gone}
        counts = Counts(added, changed, unchanged, len(gone), len(failed))
        quiet = self.generation and not (added or changed or gone)
        return (self if quiet else self._next(live)), counts

    def _vanished(self, seen: set[str], failed: Sequence[Document]) -> set[str]:
        """Return what a build removes: neither seen, nor of a file that could not be read."""
        protected = [document.source or document.id for document in failed]
        named = seen | {document.id for document in failed}
        return {
            name
            for name, version in self.live.items()
            if name not in named
            and not any(_is_within(version.document.source, place) for place in protected)
        }

    def _next(self, live: Mapping[str, Version]) -> StoreModel:
        return replace(self, generation=self.generation + 1, live=live)


def _is_storable(document: Document) -> bool:
    return bool(document.text.strip()) and "\0" not in document.text


def _is_within(source: str, place: str) -> bool:
    return source == place or source.startswith(place.rstrip(os.sep) + os.sep)


def _expert(embedder: HashingEmbedder, document: Document) -> str:
    """Return the expert of a document: the one its label names; no text names a domain."""
    return document.domain if document.domain in embedder.experts else GENERAL


def _space(embedder: HashingEmbedder, expert: str) -> str:
    return embedder.fingerprint_of_expert(expert)
