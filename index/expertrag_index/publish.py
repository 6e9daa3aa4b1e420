"""Publishes a generation: everything that it names is durable before CURRENT names it."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import faiss
import numpy as np

from expertrag_index.current import write_current
from expertrag_index.debris import sweep
from expertrag_index.description import domains_of, fields_of
from expertrag_index.durable import (
    flush_names_above,
    fsync_folder,
    store_errors,
    write_durably,
)
from expertrag_index.errors import StorageFullError
from expertrag_index.labels import has_labels
from expertrag_index.layout import Layout
from expertrag_index.manifest import (
    FORMAT_VERSION,
    LABELLED_FORMAT,
    Manifest,
    SegmentEntry,
    dumps,
)
from expertrag_index.posting_segments import next_postings
from expertrag_index.rows import live_partitions, sorted_keys
from expertrag_index.schema import LIVE, read_origin
from expertrag_index.segments import SegmentWriter, recall_of
from expertrag_index.settings import WriterSettings


def derive(
    layout: Layout,
    connection: sqlite3.Connection,
    generation: int,
    previous: Manifest | None,
    settings: WriterSettings,
) -> Manifest:
    """Write the derived files of a staged generation; return its manifest, not yet calibrated.

    ``previous`` None rebuilds everything from the database.
    """
    origin = read_origin(connection)
    assert origin is not None, "a staged generation has an origin"
    embedder, chunker = origin
    new = sorted_keys(connection, "SELECT key FROM chunks WHERE added_in = ?", (generation,))
    partitions = live_partitions(connection, generation)
    writer = SegmentWriter(layout, connection, settings, embedder.dimension)
    segments: list[SegmentEntry] = []
    for expert, live in partitions.items():
        old = [entry for entry in previous.segments if entry.expert == expert] if previous else []
        added = np.intersect1d(live, new)
        segments += writer.next_segments(expert, old, live, added)
    live = np.sort(np.concatenate([np.empty(0, np.int64), *partitions.values()]))
    lexical = previous.postings if previous else ()
    postings = next_postings(layout, connection, settings, lexical, live, np.intersect1d(live, new))
    documents, corpus_hash = corpus_state(connection, generation)
    labelled = has_labels(connection, generation, before=previous is None or previous.labelled)
    return Manifest(
        generation=generation,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        documents=documents,
        chunks=sum(map(len, partitions.values())),
        embedder=embedder,
        chunker=chunker,
        corpus_hash=corpus_hash,
        faiss_version=faiss.__version__,
        segments=tuple(segments),
        postings=postings,
        partitions={expert: len(live) for expert, live in partitions.items()},
        fields=fields_of(connection, generation),
        domains=domains_of(connection, generation),
        recall_at_10=recall_of(segments),
        format_version=LABELLED_FORMAT if labelled else FORMAT_VERSION,
    )


def publish(layout: Layout, manifest: Manifest) -> None:
    """Make a generation the published one."""
    if not layout.current.exists():
        # not where the folders are made: a writer that is killed in between leaves it to the next
        flush_names_above(layout.root)
        write_current(layout, 0)
    folder = layout.generation(manifest.generation)
    temporary = Path(f"{folder}.tmp")
    temporary.mkdir()
    write_durably(temporary / "manifest.json", dumps(manifest))
    temporary.rename(folder)
    fsync_folder(layout.generations)
    write_current(layout, manifest.generation)


def tidy(layout: Layout, connection: sqlite3.Connection, generation: int) -> None:
    """Delete files that no reader can open any more. If the disk is full, the next publish does."""
    with contextlib.suppress(StorageFullError), store_errors(layout):
        sweep(layout, generation)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def corpus_state(connection: sqlite3.Connection, generation: int) -> tuple[int, str]:
    """Count the documents of a generation, and hash their ids and hashes."""
    state = hashlib.sha256()
    count = 0
    rows = connection.execute(
        f"SELECT d.id, d.hash FROM documents d WHERE {LIVE.format('d')} ORDER BY d.id",
        (generation, generation),
    )
    for identifier, digest in rows:
        state.update(identifier.encode() + b"\0" + digest)
        count += 1
    return count, state.hexdigest()
