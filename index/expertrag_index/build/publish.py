"""Publishes a generation: everything that it names is durable before CURRENT names it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import faiss
import numpy as np

from expertrag_common.durable import flush_names_above, fsync_folder, write_durably
from expertrag_index.build.description import (
    CorpusDescription,
    describe_changes,
    describe_generation,
)
from expertrag_index.build.settings import WriterSettings
from expertrag_index.engines.connect import send
from expertrag_index.engines.placement import IN_FOLDER, Placement
from expertrag_index.errors import StorageFullError
from expertrag_index.search.segments import NOT_PROBED, SegmentWriter, recall_of
from expertrag_index.search.tuning import Probed
from expertrag_index.store.current import write_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.labels import has_labels
from expertrag_index.store.layout import Layout
from expertrag_index.store.live import (
    NO_CHUNKS,
    LiveChunks,
    all_keys,
    live_partitions,
    new_partitions,
)
from expertrag_index.store.manifest import (
    FORMAT_VERSION,
    LABELLED_FORMAT,
    EmbedderEntry,
    Manifest,
    PostingsEntry,
    SegmentEntry,
    dumps,
)
from expertrag_index.store.schema import read_origin
from expertrag_index.types import DocumentEmbedder, KeyArray
from expertrag_index.upkeep.debris import sweep
from expertrag_index.words.posting_runs import PostingRuns
from expertrag_index.words.posting_segments import PostingsWriter

_NO_KEYS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the derived files of a generation are made of, apart from the database.

    ``known``: live chunks of an earlier generation, which are not read again. ``vectors``: where
    they are to be searched. ``embedder``: encodes what large segments are tuned with, or else
    ``probed`` says what to probe, by expert. ``runs``: the postings of new chunks, if a process
    builds them. ``words``: without an earlier manifest, postings of all live chunks, so that no
    text is read.
    """

    known: LiveChunks = NO_CHUNKS
    vectors: Placement = IN_FOLDER
    embedder: DocumentEmbedder | None = None
    probed: Mapping[str, Probed] = field(default_factory=lambda: NOT_PROBED)
    runs: PostingRuns | None = None
    words: Sequence[PostingsEntry] = ()


NO_INPUTS = Inputs()


def derive(
    layout: Layout,
    connection: sqlite3.Connection,
    generation: int,
    previous: Manifest | None,
    settings: WriterSettings,
    inputs: Inputs = NO_INPUTS,
) -> Manifest:
    """Write the derived files of a staged generation; return its manifest, not yet calibrated.

    :param previous: the manifest before; None rebuilds everything from the database.
    """
    encoder, chunker = _origin(connection)
    new = new_partitions(connection, generation) if previous else {}
    partitions = live_partitions(connection, generation, inputs.known)
    vectors = inputs.vectors
    if vectors.engine is not None:
        send(connection, vectors, encoder.dimension, generation)
    segment = SegmentWriter(
        layout, connection, settings, encoder.dimension, inputs.embedder, inputs.probed
    )
    segments = [] if vectors.engine else _segments(segment, previous, partitions, new)
    words = previous.postings if previous else inputs.words
    postings = PostingsWriter(layout, connection, settings, inputs.runs).next_postings(
        words, all_keys(partitions), all_keys(new)
    )
    corpus = _describe(connection, generation, previous)
    labelled = has_labels(connection, generation, before=previous is None or previous.has_labels)
    return Manifest(
        generation=generation,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        documents=corpus.documents,
        chunks=sum(map(len, partitions.values())),
        embedder=encoder,
        chunker=chunker,
        corpus_hash=f"{corpus.corpus:064x}",
        faiss_version=faiss.__version__,
        segments=tuple(segments),
        engine=vectors.engine,
        postings=postings,
        partitions={expert: len(live) for expert, live in partitions.items()},
        field_counts=corpus.fields,
        domains=corpus.domains,
        recall_at_10=0.0 if vectors.engine else recall_of(segments),
        format_version=LABELLED_FORMAT if labelled else FORMAT_VERSION,
    )


def _origin(connection: sqlite3.Connection) -> tuple[EmbedderEntry, str]:
    origin = read_origin(connection)
    assert origin is not None, "a staged generation has an origin"
    return origin


def _segments(
    writer: SegmentWriter,
    previous: Manifest | None,
    partitions: Mapping[str, KeyArray],
    new: Mapping[str, KeyArray],
) -> list[SegmentEntry]:
    segments: list[SegmentEntry] = []
    for expert, live in partitions.items():
        old = [entry for entry in previous.segments if entry.expert == expert] if previous else []
        segments += writer.next_segments(expert, old, live, new.get(expert, _NO_KEYS))
    return segments


def _describe(
    connection: sqlite3.Connection, generation: int, previous: Manifest | None
) -> CorpusDescription:
    if not previous or previous.is_outdated or previous.generation != generation - 1:
        return describe_generation(connection, generation)
    before = CorpusDescription(
        previous.documents,
        int(previous.corpus_hash, 16),
        previous.domains,
        previous.field_counts,
    )
    return describe_changes(connection, generation, before)


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
