"""Checks of a store's database and derived files; each returns the problems that it found."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from expertrag_index.build.description import describe_generation
from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.build import build_postings
from expertrag_index.postings.merge import merge_postings
from expertrag_index.search import vectors
from expertrag_index.store.groups import read_groups
from expertrag_index.store.layout import Layout
from expertrag_index.store.live import live_partitions
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.opening import read_manifest
from expertrag_index.store.rows import row_digest, text_digest
from expertrag_index.store.schema import NEVER, read_origin
from expertrag_index.store.seal import check_seal
from expertrag_index.types import KeyArray, Progress
from expertrag_index.words.chunk_terms import terms_of
from expertrag_index.words.posting_segments import has_old_terms, open_postings

_EVERY = 1000  # documents between two calls of progress


@dataclass(frozen=True, slots=True)
class DamagedDocument:
    """A document with a damaged row."""

    row: int
    problem: str


def check_pages(connection: sqlite3.Connection) -> list[str]:
    """Check SQLite's own structures, indexes included."""
    rows = connection.execute("PRAGMA integrity_check(10)").fetchall()
    return [f"store.db: {row[0]}".replace("\n", " ") for row in rows if row[0] != "ok"]


def check_versions(connection: sqlite3.Connection) -> list[str]:
    """Compare the database with its seal."""
    try:
        check_seal(connection)
    except StoreCorruptError as error:
        return [str(error)]
    return []


def check_postings(
    layout: Layout, connection: sqlite3.Connection, manifest: Manifest, live: KeyArray
) -> list[str]:
    """Compare the postings with the chunks, word by word.

    Merged, they must be the file that would be made of the chunks alone. Postings
    with terms of an earlier version are not compared: the next build makes them again.
    """
    if has_old_terms(manifest.postings):
        return []
    with tempfile.TemporaryDirectory(dir=layout.segments) as folder:
        try:
            segments = [open_postings(layout, entry) for entry in manifest.postings]
            merged = merge_postings(segments, live, Path(folder))
            built = build_postings(terms_of(connection, live), Path(folder))
        except (ValueError, StoreCorruptError) as error:
            return [f"the postings cannot be compared with the chunks: {error}"]
    return [] if merged == built else ["the postings do not match the chunks"]


def check_documents(
    connection: sqlite3.Connection, generation: int, progress: Progress
) -> Iterator[DamagedDocument]:
    """Check every row of every document, chunk and vector, including older generations."""
    total = connection.execute("SELECT count(*) FROM documents").fetchone()[0]
    rows = connection.execute(
        """SELECT row, added_in, removed_in, id, hash, text_hash, source, title, domain,
        metadata, checksum, text FROM documents"""
    )
    for done, (row, added, removed, *columns, checksum, text) in enumerate(rows, 1):
        problem = ""
        if checksum != row_digest(added, *columns) or text_digest(text) != columns[2]:
            problem = "its row is damaged"
        elif not _is_version(added, removed, generation):
            problem = "its versions are damaged"
        problem = problem or _check_chunks(connection, row, removed, text)
        if problem:
            yield DamagedDocument(row, f"document {columns[0]!r}: {problem}")
        if done % _EVERY == 0 or done == total:
            progress("verify", done, total)


def check_groups(connection: sqlite3.Connection, generation: int) -> list[str]:
    """Check the rows that assign documents to experts."""
    try:
        read_groups(connection, generation)
    except (StoreCorruptError, ValueError) as error:
        return [str(error)]
    return []


def check_corpus(connection: sqlite3.Connection, manifest: Manifest) -> list[str]:
    """Compare the database with the manifest."""
    problems = []
    corpus = describe_generation(connection, manifest.generation)
    actual = corpus.documents, f"{corpus.corpus:064x}", corpus.fields, corpus.domains
    expected = manifest.documents, manifest.corpus_hash, manifest.field_counts, manifest.domains
    if actual != expected:
        problems.append(
            f"store.db does not hold the {manifest.documents} documents that the manifest describes"
        )
    partitions = live_partitions(connection, manifest.generation)
    sizes = {expert: len(keys) for expert, keys in partitions.items()}
    if sizes != manifest.partitions:
        problems.append(
            f"store.db holds {sum(sizes.values())} chunks instead of {manifest.chunks}, or holds "
            "them in other partitions"
        )
    strays = connection.execute(
        "SELECT count(*) FROM chunks WHERE document NOT IN (SELECT row FROM documents)"
    ).fetchone()[0]
    if strays:
        problems.append(f"{strays} chunks belong to no document")
    if read_origin(connection) != (manifest.embedder, manifest.chunker):
        problems.append("store.db names another embedder or chunker than the manifest")
    return problems


def check_derived(layout: Layout, connection: sqlite3.Connection, number: int) -> list[str]:
    """Check the manifest of a generation and everything that it names."""
    try:
        manifest = read_manifest(layout, number)
    except StoreCorruptError as error:
        return [str(error)]
    return check_files(layout, manifest, live_partitions(connection, number))


def check_files(
    layout: Layout, manifest: Manifest, partitions: Mapping[str, KeyArray]
) -> list[str]:
    """Check every derived file, and that the segments hold every chunk of each expert once."""
    problems = []
    for postings in manifest.postings:
        try:
            open_postings(layout, postings)
        except StoreCorruptError as error:
            problems.append(str(error))
    held: dict[str, list[KeyArray]] = {}
    dimension = manifest.embedder.dimension
    for entry in manifest.segments:
        try:
            segment = vectors.open_segment(layout, entry, dimension)
            held.setdefault(entry.expert, []).append(segment.rows.keys)
            if not np.array_equal(np.sort(segment.faiss_keys), segment.rows.keys):
                problems.append(f"{entry.entry.file} and {entry.rows.file} hold different chunks")
        except StoreCorruptError as error:
            problems.append(str(error))
    if (
        not problems
        and not manifest.engine
        and not all(_hold_once(held.get(expert, []), live) for expert, live in partitions.items())
    ):
        problems.append("the vector segments do not hold every chunk exactly once")
    return problems


def _hold_once(segments: Sequence[KeyArray], live: KeyArray) -> bool:
    keys = np.concatenate([np.empty(0, np.int64), *segments])
    return len(np.unique(keys)) == len(keys) and bool(np.isin(live, keys).all())


def _check_chunks(connection: sqlite3.Connection, document: int, removed: int, text: str) -> str:
    rows = connection.execute(
        """SELECT c.removed_in, c.checksum, c.added_in, c.document, c.ordinal, c.start, c."end",
        c.content_hash, c.expert, c.title, c.text, v.checksum, v.embedding
        FROM chunks c LEFT JOIN vectors v ON v.content_hash = c.content_hash
        WHERE c.document = ? ORDER BY c.ordinal""",
        (document,),
    )
    for expected, (chunk_removed, checksum, *columns, vector_sum, vector) in enumerate(rows):
        _, _, ordinal, start, end, content, _, _, chunk_text = columns
        if checksum != row_digest(*columns) or text[start:end] != chunk_text:
            return f"chunk {expected} is damaged"
        if ordinal != expected or chunk_removed != removed:
            return f"chunk {expected} is missing"
        if vector is None or vector_sum != row_digest(content, vector) or not _is_unit(vector):
            return f"the vector of chunk {ordinal} is damaged"
    return ""


def _is_version(added: int, removed: int, generation: int) -> bool:
    return added <= generation and (removed == NEVER or removed in range(added + 1, generation + 1))


def _is_unit(vector: bytes) -> bool:
    norm = float(np.linalg.norm(np.frombuffer(vector, dtype="<f2").astype(np.float32)))
    return abs(norm - 1) < 1e-2  # also fails for NaN and infinity
