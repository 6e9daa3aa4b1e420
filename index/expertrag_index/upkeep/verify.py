"""Verifies a store (every file, page, row and word) and repairs what can be rebuilt."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from expertrag_index.engines.connect import check_engine
from expertrag_index.errors import StoreCorruptError
from expertrag_index.replicas.marker import refuse_writes
from expertrag_index.store.current import read_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.live import live_partitions
from expertrag_index.store.lock import WriterLock
from expertrag_index.store.opening import read_manifest
from expertrag_index.store.schema import connect_writer, read_meta
from expertrag_index.types import Progress, VerifyReport, silent
from expertrag_index.upkeep.checks import (
    DamagedDocument,
    check_corpus,
    check_derived,
    check_documents,
    check_files,
    check_groups,
    check_pages,
    check_postings,
    check_versions,
)
from expertrag_index.upkeep.debris import recover
from expertrag_index.upkeep.repair import repair as repair_store

_SHOWN = 20  # damaged documents named one by one


@dataclass(slots=True)
class _Findings:
    generation: int = 0
    documents: int = 0
    chunks: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)
    damaged: list[DamagedDocument] = field(default_factory=list)
    hopeless: str = ""

    def describe(self) -> tuple[str, ...]:
        """Return every problem as one line; many damaged documents are summarised."""
        documents = [document.problem for document in self.damaged]
        more = len(documents) - _SHOWN
        summary = [f"{more} more documents are damaged"] if more > 0 else []
        hopeless = [self.hopeless] if self.hopeless else []
        return (*hopeless, *self.problems, *documents[:_SHOWN], *summary)


def verify(path: Path, *, repair: bool = False, progress: Progress | None = None) -> VerifyReport:
    """Check everything in the store at ``path``, as its only writer, and clean up after a crash.

    :param repair: publish a generation with all derived files rebuilt. Documents with damaged rows
        are removed; the next build adds them again.
    :raises StoreNotFoundError: there is no store.
    :raises ReadOnlyReplicaError: to be repaired, and a copy: pull it again.
    :raises StoreLockedError: another process is writing.
    """
    layout = Layout(Path(path))
    if not layout.database.exists():
        read_current(layout)  # raises if there is no store; otherwise report a lost database
    if repair:
        refuse_writes(layout)
    with store_errors(layout), WriterLock(layout):
        before = _inspect(layout, progress or silent)
        if not repair or before.hopeless or not before.describe():
            return _report(before)
        with closing(connect_writer(layout.database)) as connection:
            repair_store(layout, connection, before.damaged)
        after = _inspect(layout, progress or silent)
    removed = {
        document.problem: f"{document.problem}: removed; run 'expertrag index build' to add it"
        for document in before.damaged
    }
    remaining = after.describe()
    repaired = [
        removed.get(problem, f"{problem}: rebuilt")
        for problem in before.describe()
        if problem not in remaining
    ]
    return _report(after, tuple(repaired))


def check(layout: Layout, progress: Progress) -> VerifyReport:
    """Check everything in a store, like ``verify``, for a caller that holds its lock."""
    return _report(_inspect(layout, progress))


def _inspect(layout: Layout, progress: Progress) -> _Findings:
    findings = _Findings()
    try:
        _check_current(layout, findings)
        with (
            store_errors(layout),
            closing(connect_writer(layout.database, create=False, upgrade=False)) as connection,
        ):
            _check_database(layout, connection, findings, progress)
    except StoreCorruptError as error:
        reason = str(error).removesuffix(f": {layout.cure}")  # that cure would not help
        findings.hopeless = (
            f"the database is damaged beyond repair ({reason}): "
            "build the store again from its documents, into another folder"
        )
    return findings


def _check_current(layout: Layout, findings: _Findings) -> None:
    try:
        findings.generation = read_current(layout)
    except StoreCorruptError as error:
        findings.problems.append(str(error))
        findings.generation = next(iter(layout.generation_numbers()), 0)


def _check_database(
    layout: Layout, connection: sqlite3.Connection, findings: _Findings, progress: Progress
) -> None:
    if not findings.problems:
        recover(layout, connection)
    generation = findings.generation or read_meta(connection).staged
    findings.problems += check_pages(connection)
    findings.problems += check_versions(connection)
    findings.damaged += check_documents(connection, generation, progress)
    findings.problems += check_groups(connection, generation)
    partitions = live_partitions(connection, generation)
    findings.chunks = sum(map(len, partitions.values()))
    if not read_meta(connection).oldest <= generation <= read_meta(connection).staged:
        findings.problems.append(f"store.db does not hold generation {generation}")
    try:
        manifest = read_manifest(layout, generation)
    except StoreCorruptError as error:
        findings.problems.append(str(error))
        return
    findings.documents = manifest.documents
    findings.files = len(manifest.files)
    if manifest.is_outdated:
        findings.problems.append("the store was written by an earlier version")
        return
    if not findings.damaged:
        findings.problems += check_corpus(connection, manifest)
    problems = check_files(layout, manifest, partitions) + check_engine(connection, manifest)
    if findings.chunks and not problems and not findings.damaged:
        live = np.sort(np.concatenate(list(partitions.values())))
        problems = check_postings(layout, connection, manifest, live)
    findings.problems += problems
    _check_previous(layout, connection, findings, generation)


def _check_previous(
    layout: Layout, connection: sqlite3.Connection, findings: _Findings, newest: int
) -> None:
    """Check the generation before, the fallback if the newest is damaged."""
    number = newest - 1
    if number not in layout.generation_numbers() or number < read_meta(connection).oldest:
        return
    with contextlib.suppress(StoreCorruptError):
        if read_manifest(layout, number).is_outdated:
            return  # an upgrade makes nothing of the generations before
    findings.problems += [
        f"{problem} (in generation {number}, kept as the fallback)"
        for problem in check_derived(layout, connection, number)
        if problem not in findings.problems  # most files belong to both generations
    ]


def _report(findings: _Findings, repaired: tuple[str, ...] = ()) -> VerifyReport:
    return VerifyReport(
        generation=findings.generation,
        documents=findings.documents,
        chunks=findings.chunks,
        files=findings.files,
        problems=findings.describe(),
        repaired=repaired,
        repairable=not findings.hopeless,
    )
