"""Changes of a store, as random sequences that a seed determines, for the store and its model.

The backup of a store and the store that is restored from it lie beside it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus import EMBEDDERS, make_document, unstorable
from store_model import Counts, StoreModel

from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.writer import IndexWriter
from expertrag_index.types import BuildReport, Document
from expertrag_index.upkeep.backup import backup, restore
from expertrag_index.upkeep.compact import compact

SETTINGS = (
    WriterSettings(embed_batch=4, commit_chunks=4),
    # small stores otherwise have one segment: these have several, tombstones and merges
    WriterSettings(embed_batch=4, commit_chunks=4, small=0, max_segments=3, dead_share=0.4),
)
_IDS = 24


@dataclass(frozen=True, slots=True)
class Change:
    """One run of a writer. ``kind``: one of ``MAKERS``."""

    kind: str
    documents: tuple[Document, ...] = ()
    names: tuple[str, ...] = ()
    embedder: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.embedder or len(self.documents or self.names)}"


@dataclass(frozen=True, slots=True)
class Reported:
    """What a change reports: the generation that is published after it, and its counts."""

    generation: int
    counts: Counts


def apply(change: Change, path: Path, embedder: str, settings: WriterSettings) -> Reported:
    """Make a change to a store of an embedder."""
    if change.kind == "compact":
        return Reported(compact(path, settings=settings).generation, Counts())
    if change.kind == "copy":
        made = backup(path, backup_of(path), force=True)
        found = restore(backup_of(path), replica_of(path), force=True)
        return Reported(made.generation, Counts(unchanged=found.documents))
    if change.kind == "restore":
        found = restore(backup_of(path), path, force=True)
        return Reported(found.generation, Counts(unchanged=found.documents))
    report = _written(change, path, embedder, settings)
    return Reported(report.generation, Counts.of(report))


def _written(change: Change, path: Path, embedder: str, settings: WriterSettings) -> BuildReport:
    migrating = change.kind == "migrate"
    chosen = EMBEDDERS[change.embedder if migrating else embedder]
    with IndexWriter.open(path, chosen, settings=settings, migrating=migrating) as writer:
        if migrating:
            return writer.migrate()
        if change.kind == "delete":
            return writer.delete(change.names)
        return (writer.build if change.kind == "build" else writer.add)(change.documents)


def backup_of(path: Path) -> Path:
    """Return the place of a store's backup."""
    return path.with_name("backup")


def replica_of(path: Path) -> Path:
    """Return the place of the store that is restored from a store's backup."""
    return path.with_name("replica")


def plan(change: Change, model: StoreModel) -> tuple[StoreModel, Counts]:
    """Return what the store must hold after a change, and what the change must report."""
    if change.kind in ("compact", "copy", "restore"):
        operations = {"compact": model.compact, "copy": model.copy, "restore": model.restore}
        return operations[change.kind]()
    if change.kind == "migrate":
        return model.migrate(EMBEDDERS[change.embedder])
    if change.kind == "delete":
        return model.delete(change.names)
    return (model.build if change.kind == "build" else model.add)(change.documents)


def embedder_of(model: StoreModel) -> str:
    """Return the name of a model's embedder."""
    fingerprint = model.embedder.fingerprint
    return next(name for name, one in EMBEDDERS.items() if one.fingerprint == fingerprint)


def make_build(rng: random.Random, model: StoreModel) -> Change:
    """Make a build: most stored documents again, some changed, and new ones."""
    kept = [one for one in model.documents.values() if rng.random() < 0.8]
    documents = [*kept, *_drawn(rng, rng.randint(0 if kept else 1, 6))]
    return Change("build", tuple(rng.sample(documents, len(documents))))


def make_add(rng: random.Random, model: StoreModel) -> Change:
    """Make an upsert of a few documents, among them equal ones and ones that are refused."""
    again = rng.sample(sorted(model.documents), min(len(model.live), rng.randint(0, 2)))
    documents = [*(model.documents[name] for name in again), *_drawn(rng, rng.randint(1, 5))]
    return Change("add", tuple(documents))


def make_delete(rng: random.Random, model: StoreModel) -> Change:
    """Make a deletion of a few documents, some of them unknown."""
    names = rng.sample(sorted(model.live), min(len(model.live), rng.randint(0, 3)))
    unknown = [f"unknown{rng.randrange(9)}"] if rng.random() < 0.3 or not names else []
    return Change("delete", names=(*names, *unknown))


def make_migration(rng: random.Random, model: StoreModel) -> Change:
    """Make a migration, now and then to the embedder that the store has."""
    return Change("migrate", embedder=rng.choice(sorted(EMBEDDERS)))


def make_compaction(rng: random.Random, model: StoreModel) -> Change:
    """Make a compaction."""
    return Change("compact")


def make_copy(rng: random.Random, model: StoreModel) -> Change:
    """Make a backup that replaces the last one, and restore it to another folder."""
    return Change("copy")


def make_restoration(rng: random.Random, model: StoreModel) -> Change:
    """Make a restore of the last backup over the store; a copy, unless one is surely there."""
    return Change("restore" if len(model.backups) == 1 and model.backups[0] else "copy")


MAKERS: Mapping[str, Callable[[random.Random, StoreModel], Change]] = {
    "build": make_build,
    "add": make_add,
    "delete": make_delete,
    "migrate": make_migration,
    "compact": make_compaction,
    "copy": make_copy,
    "restore": make_restoration,
}

NEVER_QUIET = {"compact", "restore"}
"""Changes that publish a generation even if nothing is new."""


def make_changes(seed: int, kinds: Sequence[str]) -> Iterator[tuple[Change, StoreModel, Counts]]:
    """Yield changes of these kinds in their order, each with what must be true after it."""
    rng = random.Random(seed)
    model = StoreModel(embedder=EMBEDDERS["hashing"])
    for kind in kinds:
        change = MAKERS[kind](rng, model)
        model, counts = plan(change, model)
        yield change, model, counts


def _drawn(rng: random.Random, count: int) -> list[Document]:
    documents = []
    for number in rng.choices(range(_IDS), k=count):  # now and then one id twice
        moved = "elsewhere" if rng.random() < 0.1 else None
        document = make_document(rng, number, moved)
        documents.append(unstorable(rng, document) if rng.random() < 0.1 else document)
    return documents
