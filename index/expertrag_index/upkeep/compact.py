"""Compacts a store: merges its segments and gives the space of deleted rows back to the system.

Writers merge segments and drop old rows by themselves. What is left to do is to drop what the
generation before still holds, and to make the files smaller.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from expertrag_index.build.publish import Inputs, derive, publish, tidy
from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines.connect import recover_engine
from expertrag_index.engines.placement import Placement, placement
from expertrag_index.replicas.marker import refuse_writes
from expertrag_index.search.segments import read_probed_shares
from expertrag_index.store.current import read_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.opening import read_manifest
from expertrag_index.store.schema import connect_reader, connect_writer, write_meta
from expertrag_index.store.seal import check_seal, read_sums, write_seal
from expertrag_index.store.transaction import transaction
from expertrag_index.types import CompactReport, Progress, silent
from expertrag_index.upkeep.debris import drop_unused_vectors, purge, recover


def compact(
    path: Path, *, settings: WriterSettings | None = None, progress: Progress | None = None
) -> CompactReport:
    """Publish the same documents as a generation with merged segments, and shrink the database.

    Deleted and replaced texts are erased. Needs up to twice the size of the database as free space.

    :raises StoreNotFoundError: there is no store.
    :raises ReadOnlyReplicaError: the store is a copy of another one.
    :raises StoreLockedError: another process is writing, after ``settings.lock_wait_s``.
    :raises StoreCorruptError: the store is damaged; repair it first.
    :raises StorageFullError: no space left; the published generation is untouched.
    """
    started, report = time.monotonic(), progress or silent
    layout, settings = Layout(Path(path)), settings or WriterSettings()
    read_current(layout)
    refuse_writes(layout)
    with (
        store_errors(layout),
        WriterLock(layout, settings.lock_wait_s),
        closing(connect_writer(layout.database, create=False)) as connection,
    ):
        previous = read_manifest(layout, recover(layout, connection))
        vectors = placement(settings.vectors, previous, connection)
        if not vectors.moved:  # a store may leave an engine that is lost
            recover_engine(connection, previous)
        before = _size(connection, previous)
        manifest = _merge(layout, connection, previous, vectors, settings, report)
        report("shrink", 0, 1)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        report("shrink", 1, 1)
        after = _size(connection, manifest)
    return CompactReport(manifest.generation, before, after, time.monotonic() - started)


def measure_waste(path: Path) -> float:
    """Return the share of a store that a compaction drops: of its chunks, vectors or disk pages.

    The largest of the three; 0 for an empty store. Takes milliseconds.

    :raises StoreNotFoundError: there is no store.
    :raises StoreCorruptError: it is damaged.
    """
    layout = Layout(Path(path))
    manifest = read_manifest(layout, read_current(layout))
    with store_errors(layout), closing(connect_reader(layout.database)) as connection:
        (removed,) = connection.execute(
            "SELECT count(*) FROM chunks WHERE removed_in <= ?", (manifest.generation,)
        ).fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    held = sum(entry.count for entry in manifest.segments)
    live = manifest.chunks
    shares = removed / max(1, removed + live), (held - live) / max(1, held), free / max(1, pages)
    return float(max(shares))


def shrink_log(path: Path) -> bool:
    """Move SQLite's log into the database, and empty it.

    Return False, at once, if a reader uses the log. A reader that is opened when its content has
    been moved does not.
    """
    layout = Layout(Path(path))
    with (
        store_errors(layout),
        closing(connect_writer(layout.database, create=False)) as connection,
    ):
        connection.execute("PRAGMA busy_timeout = 0")
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _merge(
    layout: Layout,
    connection: sqlite3.Connection,
    previous: Manifest,
    vectors: Placement,
    settings: WriterSettings,
    progress: Progress,
) -> Manifest:
    generation = previous.generation + 1
    progress("merge", 0, 1)
    with transaction(connection):
        check_seal(connection, required=True)
        sums = read_sums(connection) - purge(connection, previous.generation)
        drop_unused_vectors(connection)
        write_meta(connection, staged=generation, oldest=previous.generation)
        write_seal(connection, sums)
    manifest = derive(
        layout,
        connection,
        generation,
        None,
        replace(settings, max_segments=0),  # all postings become one segment
        Inputs(
            vectors=vectors,
            probed=read_probed_shares(previous.segments),
            words=previous.postings,
        ),
    )
    publish(layout, replace(manifest, calibration=previous.calibration))
    tidy(layout, connection, generation)
    progress("merge", 1, 1)
    return manifest


def _size(connection: sqlite3.Connection, manifest: Manifest) -> int:
    """Bytes of the database and the segments of a generation.

    The database's file shrinks once no reader needs the older state, and the segments of the
    generation before are deleted with the next one.
    """
    pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
    page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
    return pages * page_bytes + sum(file.bytes for file in manifest.files)
