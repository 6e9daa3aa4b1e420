"""Writes a store: build, add, delete, migrate. A run publishes one generation or nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from expertrag_index.build.chunk import Chunker
from expertrag_index.build.chunk_size import chunk_tokens_of
from expertrag_index.build.context import Calibrate, WriterContext
from expertrag_index.build.copies import Copies
from expertrag_index.build.embed_pool import EmbedPool, EmbedThread
from expertrag_index.build.migration import restage
from expertrag_index.build.outcome import calibrate_with, make_report
from expertrag_index.build.publish import Inputs, derive, publish, tidy
from expertrag_index.build.settings import WriterSettings
from expertrag_index.build.staging import Stage
from expertrag_index.engines.connect import recover_engine
from expertrag_index.engines.placement import Placement, placement
from expertrag_index.errors import EmbedderMismatchError, IndexStoreError
from expertrag_index.replicas.marker import refuse_writes
from expertrag_index.store.current import read_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.opening import NONE_OPEN, OpenParts, read_manifest
from expertrag_index.store.schema import Seal, connect_writer, read_seal
from expertrag_index.store.seal import check_seal
from expertrag_index.store.transaction import transaction
from expertrag_index.types import (
    BuildReport,
    Document,
    DocumentEmbedder,
    LoadFailure,
    Progress,
    silent,
)
from expertrag_index.upkeep.debris import recover
from expertrag_index.upkeep.removals import CheckRemovals
from expertrag_index.words.posting_runs import PostingRuns
from expertrag_index.words.posting_segments import has_old_terms


class IndexWriter:
    """The one writer of a store; holds its lock until closed."""

    def __init__(
        self,
        layout: Layout,
        lock: WriterLock,
        connection: sqlite3.Connection,
        context: WriterContext,
        thread: EmbedThread,
    ) -> None:
        self._layout = layout
        self._lock = lock
        self._connection = connection
        self._context = context
        self._thread = thread
        self._embedder = context.embedder
        self._progress = context.progress
        self._settings = context.settings
        self._known: Seal | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        embedder: DocumentEmbedder,
        *,
        calibrate: Calibrate | None = None,
        progress: Progress | None = None,
        settings: WriterSettings | None = None,
        migrating: bool = False,
        reuse: OpenParts = NONE_OPEN,
        pool: EmbedPool | None = None,
    ) -> IndexWriter:
        """Open the store at ``path`` for writing; create it if there is none.

        :param migrating: the store may be of another embedder; call ``migrate`` first.
        :param reuse: ``Index.open_parts`` of this process, which are not read again.
        :param pool: embeds instead of a thread of this process; the caller closes it.
        :raises ReadOnlyReplicaError: the store is a copy of another one.
        :raises StoreLockedError: another process is writing, after ``settings.lock_wait_s``.
        :raises EmbedderMismatchError: the store was built with another embedder.
        :raises ChunkSizeMismatchError: the store has chunks of another length.
        :raises StoreCorruptError: the store is damaged; repair it first.
        :raises StorageFullError: no space left.
        """
        layout = Layout(Path(path))
        settings = settings or WriterSettings()
        with store_errors(layout):
            _create(layout)
            refuse_writes(layout)
            lock = WriterLock(layout, settings.lock_wait_s)
            try:
                connection = connect_writer(layout.database, create=not layout.generation_numbers())
                thread = EmbedThread()
                context = WriterContext(
                    embedder, pool or thread, settings, progress or silent, calibrate, reuse
                )
                writer = cls(layout, lock, connection, context, thread)
                if not migrating:
                    writer._read_published()
            except BaseException:
                lock.release()
                raise
        return writer

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and release the lock."""
        self._thread.close()
        self._connection.close()
        self._lock.release()

    @property
    def seal(self) -> Seal:
        """Which state of the database is published."""
        return read_seal(self._connection)

    def trust(self, seal: Seal | None) -> None:
        """Do not compare the published state again if an index with this ``seal`` was opened."""
        self._known = seal

    def build(
        self,
        documents: Iterable[Document],
        failures: Sequence[LoadFailure] = (),
        check: CheckRemovals | None = None,
    ) -> BuildReport:
        """Make the store hold exactly ``documents``.

        Unchanged documents are kept. Missing ones are removed, unless their source is among
        ``failures``, which is read after the documents (a loader may fill it meanwhile). A notice
        of the report names documents that have nearly the same text.

        :param check: called when all documents are read, if some would be removed.
        :raises StorageFullError: no space left; the published generation is untouched.
        """
        copies = Copies(self._connection)
        report = self._update(copies.watch(documents), failures, vanish=True, check=check)
        return replace(report, failures=(*report.failures, *copies.notices()))

    def add(
        self, documents: Iterable[Document], failures: Sequence[LoadFailure] = ()
    ) -> BuildReport:
        """Add documents, or replace those with the same id and source.

        A stored document with the same id but another source is kept; the new one becomes a
        failure.

        :raises StorageFullError: no space left; the published generation is untouched.
        """
        return self._update(documents, failures, vanish=False)

    def refresh(
        self,
        documents: Iterable[Document],
        sources: Collection[str],
        failures: Sequence[LoadFailure] = (),
    ) -> BuildReport:
        """Make the store hold exactly ``documents`` of ``sources``; keep all of other sources.

        A document of ``sources`` that is missing is removed, unless its source is among
        ``failures``, which is read after the documents. A stored document with the same id but of
        a source that is not among ``sources`` is kept, and the new one becomes a failure.

        :raises StorageFullError: no space left; the published generation is untouched.
        """
        return self._update(documents, failures, vanish=False, sources=sources)

    def delete(self, document_ids: Sequence[str]) -> BuildReport:
        """Remove documents; an unknown id is reported as a failure.

        :raises StorageFullError: no space left; the published generation is untouched.
        """
        started = time.monotonic()
        with store_errors(self._layout):
            previous = self._read_published()
            stage = self._stage(previous)
            rows = stage.rows_of(document_ids)
            if not rows:
                return make_report(stage, previous, (), 0, started)
            return self._finish(stage, previous, (), rows, started)

    def migrate(self) -> BuildReport:
        """Migrate the store to this writer's embedder, and assign all groups to experts again.

        Readers of the published generation are not affected; a killed migration can be resumed.
        ``changed`` counts the documents with new vectors.

        :raises StoreNotFoundError: there is nothing to migrate.
        :raises StoreCorruptError: a row is damaged; repair the store first.
        :raises DocumentError: a document gets no finite vector; nothing is changed.
        :raises StorageFullError: no space left; the published generation is untouched.
        """
        started = time.monotonic()
        with store_errors(self._layout):
            previous = self._recover()
            if previous is None:
                read_current(self._layout)
            stage = self._stage(previous, from_scratch=True)
            restage(self._connection, stage, self._embedder, self._progress)
            same = (
                previous
                and previous.embedder.fingerprint == self._embedder.fingerprint
                and not self._placement(previous).moved
            )
            if same and not stage.changed:
                return make_report(stage, previous, (), 0, started)
            return self._finish(stage, previous, (), [], started, from_scratch=True)

    def _update(
        self,
        documents: Iterable[Document],
        failures: Sequence[LoadFailure],
        *,
        vanish: bool,
        sources: Collection[str] = (),
        check: CheckRemovals | None = None,
    ) -> BuildReport:
        started = time.monotonic()
        with store_errors(self._layout):
            previous = self._read_published()
            stage = self._stage(previous)

            def when_read() -> None:
                if check and previous and (removed := stage.find_vanished(failures, moving)):
                    check(len(removed), previous.documents)

            moving = None if vanish else sources
            stage.take(documents, moving, when_read)
            rows = stage.find_vanished(failures, moving)
            calibrated = not previous or self._settings.calibrated(previous.calibration)
            uncalibrated = bool(self._context.calibrate) and not calibrated
            same = previous and not (
                previous.is_outdated
                or has_old_terms(previous.postings)
                or self._placement(previous).moved
            )
            if same and not (stage.added or stage.changed or rows or uncalibrated):
                return make_report(stage, previous, failures, 0, started)
            return self._finish(stage, previous, failures, rows, started)

    def _read_published(self) -> Manifest | None:
        """Return the manifest of the published generation, as ``_recover`` does.

        :raises EmbedderMismatchError: the store was built with another embedder.
        :raises ChunkSizeMismatchError: the store has chunks of another length.
        """
        manifest = self._recover()
        if manifest and manifest.embedder.fingerprint != self._embedder.fingerprint:
            raise EmbedderMismatchError(
                f"{self._layout.root} was built with embedder {manifest.embedder.name}, not "
                f"{self._embedder.name}: use that embedder, or run 'expertrag index migrate "
                f"{self._layout.root} --embedder {self._embedder.name}'"
            )
        self._chunker(manifest)
        return manifest

    def _recover(self) -> Manifest | None:
        """Drop the debris of a crash; return the manifest of the published generation, if any."""
        current = recover(self._layout, self._connection)
        # SQLite restarts its log once all of it is in the database and no reader still needs it;
        # an Index that is opened after this does not need it
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if not current:
            return None
        manifest = read_manifest(self._layout, current)
        if not self._placement(manifest).moved:  # a store may leave an engine that is lost
            recover_engine(self._connection, manifest)
        return manifest

    def _chunker(self, previous: Manifest | None) -> Chunker:
        """Return what splits the documents of the next generation."""
        budget = chunk_tokens_of(previous, self._embedder, self._settings.chunk_tokens)
        return Chunker(budget, self._embedder.count_tokens)

    def _placement(self, previous: Manifest | None) -> Placement:
        """Return where the next generation is to have its vectors."""
        return placement(self._settings.vectors, previous, self._connection)

    def _stage(self, previous: Manifest | None, *, from_scratch: bool = False) -> Stage:
        return Stage(
            self._connection,
            PostingRuns(self._layout),
            (previous.generation if previous else 0) + 1,
            self._chunker(previous),
            self._context,
            from_scratch=from_scratch,
        )

    def _finish(
        self,
        stage: Stage,
        previous: Manifest | None,
        failures: Sequence[LoadFailure],
        removed: list[int],
        started: float,
        *,
        from_scratch: bool = False,
    ) -> BuildReport:
        """Publish what is staged; ``from_scratch`` rebuilds all segments, for changed vectors."""
        generation = stage.generation
        self._progress("write", 0, 1)
        with transaction(self._connection):
            # before there is a new seal, which would hide damage
            check_seal(self._connection, required=True, known=self._known)
            stage.seal(removed)
        self._known = self.seal
        manifest = derive(
            self._layout,
            self._connection,
            generation,
            None if from_scratch else previous,
            self._settings,
            Inputs(
                self._context.reuse.chunks,
                self._placement(previous),
                self._embedder,
                runs=stage.postings,
            ),
        )
        self._progress("write", 1, 1)
        if self._context.calibrate:
            # a calibration may reuse the last one, if it is of the same embedder
            last = previous.calibration if previous and not from_scratch else {}
            candidate = replace(manifest, calibration=last)
            manifest = replace(
                manifest, calibration=calibrate_with(self._context, self._layout, candidate)
            )
        publish(self._layout, manifest)
        tidy(self._layout, self._connection, generation)
        return make_report(stage, manifest, failures, len(removed), started)


def _create(layout: Layout) -> None:
    """Create the folders of a store, in a folder that is new, empty or already a store."""
    root = layout.root
    if root.exists() and not root.is_dir():
        raise IndexStoreError(f"{root} is a file: give a folder for the store")
    ours = (layout.lock, layout.database, layout.segments, layout.generations)
    if root.is_dir() and any(root.iterdir()) and not any(path.exists() for path in ours):
        raise IndexStoreError(f"{root} is not a store and not empty: give another folder")
    layout.segments.mkdir(parents=True, exist_ok=True)
    layout.generations.mkdir(exist_ok=True)
