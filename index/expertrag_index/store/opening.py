"""Opens a generation: verifies every file before parsing it; falls back to the one before."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from expertrag_index.engines.connect import in_engine
from expertrag_index.errors import StoreCorruptError, StoreFormatError
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.search import vectors
from expertrag_index.search.faiss_vectors import FaissVectors
from expertrag_index.search.vector_store import GenerationVectors
from expertrag_index.store.current import read_current
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.document_check import DocumentCheck
from expertrag_index.store.layout import Layout
from expertrag_index.store.live import NO_CHUNKS, LiveChunks, all_keys, live_partitions
from expertrag_index.store.manifest import FileEntry, Manifest, PostingsEntry, SegmentEntry, loads
from expertrag_index.store.schema import Seal
from expertrag_index.store.seal import check_seal
from expertrag_index.store.snapshot import SnapshotPool
from expertrag_index.types import KeyArray
from expertrag_index.words.posting_segments import open_postings


@dataclass(frozen=True, slots=True)
class OpenParts:
    """What an open generation hands over to the next one of the store.

    ``vectors``, ``postings``: mapped segments by their entries in a manifest; both are immutable.
    ``chunks``: its live chunks. ``checked``: the row up to which documents have been checked.
    """

    vectors: Mapping[SegmentEntry, vectors.Segment]
    postings: Mapping[PostingsEntry, PostingSegment]
    chunks: LiveChunks
    checked: int


NONE_OPEN = OpenParts({}, {}, NO_CHUNKS, 0)

_READERS = 2  # files that are compared with their checksums at a time
_ATTEMPTS = 5  # a writer may publish twice while a large store is being read


@dataclass(frozen=True, slots=True)
class Generation:
    """A generation in memory.

    ``live``: keys of its chunks, ascending; ``partitions``: the same by expert; ``segments``: its
    FAISS segments, none if ``vectors``, where they are searched, are in an engine; ``postings``:
    the segments of the lexical half. ``documents``: the check of their rows. ``degradation``: why
    this is not the newest generation, empty if it is.
    """

    manifest: Manifest
    pool: SnapshotPool
    live: KeyArray
    partitions: Mapping[str, KeyArray]
    segments: Mapping[SegmentEntry, vectors.Segment]
    vectors: GenerationVectors
    postings: tuple[PostingSegment, ...]
    documents: DocumentCheck
    degradation: str

    def share_parts(self) -> OpenParts:
        """Return the segments by their entries, for another generation that also has them."""
        return OpenParts(
            self.segments,
            dict(zip(self.manifest.postings, self.postings, strict=True)),
            LiveChunks(self.manifest.generation, self.partitions),
            self.documents.last_row,
        )


def open_published(
    layout: Layout, known: Seal | None = None, reuse: OpenParts = NONE_OPEN
) -> Generation:
    """Open the generation that CURRENT names, or the one before if a file of it is damaged.

    :param known: a seal that need not be compared (see ``check_seal``).
    :param reuse: segments in memory, which are not read again.
    :raises StoreNotFoundError: there is no store.
    :raises StoreCorruptError: no generation is intact.
    :raises StoreFormatError: written by a newer or an older version.
    """
    for attempt in range(_ATTEMPTS):
        before = _fingerprint(layout)
        try:
            return _open_once(layout, known, reuse)
        except StoreCorruptError:
            # a file may be missing only because the writer has published again meanwhile
            if attempt + 1 == _ATTEMPTS or _fingerprint(layout) == before:
                raise
            time.sleep(0.05 * (attempt + 1))
    raise AssertionError("unreachable")


def check_published(path: Path) -> None:
    """Check that there is a store that this version can read; takes a millisecond.

    Damage is left to ``open_published``, which may fall back to the generation before.

    :raises StoreNotFoundError: there is no store.
    :raises StoreFormatError: written by a newer or an older version.
    """
    layout = Layout(Path(path))
    with suppress(StoreCorruptError), store_errors(layout):
        _refuse_outdated(layout, read_manifest(layout, read_current(layout)))


def load(
    layout: Layout,
    manifest: Manifest,
    pool: SnapshotPool,
    degradation: str = "",
    reuse: OpenParts = NONE_OPEN,
) -> Generation:
    """Read and verify everything that a manifest names. On failure the caller closes the pool.

    :raises StoreCorruptError: a file or the database does not match the manifest.
    :raises StoreFormatError: it is of an earlier format.
    """
    _refuse_outdated(layout, manifest)
    dimension = manifest.embedder.dimension
    with ThreadPoolExecutor(_READERS) as readers:
        reading = [readers.submit(_postings, layout, entry, reuse) for entry in manifest.postings]
        opened = readers.map(
            lambda entry: _segment(layout, entry, dimension, reuse), manifest.segments
        )
        segments = dict(zip(manifest.segments, opened, strict=True))
        postings = tuple(each.result() for each in reading)
    if not pool.meta.oldest <= manifest.generation <= pool.meta.staged:
        raise StoreCorruptError(f"{layout.database} does not hold generation {manifest.generation}")
    # a restored store, whose rows are others, begins with its oldest generation
    known = reuse if pool.meta.oldest <= reuse.chunks.generation else NONE_OPEN
    with pool.connection() as connection:
        partitions = live_partitions(connection, manifest.generation, known.chunks)
        if _sizes(partitions) != manifest.partitions:  # a repair drops rows of older generations
            partitions = live_partitions(connection, manifest.generation)
    if _sizes(partitions) != manifest.partitions:
        raise StoreCorruptError(
            f"{layout.database} has {sum(_sizes(partitions).values())} chunks of generation "
            f"{manifest.generation} instead of {manifest.chunks}, or has them in other partitions"
        )
    live = all_keys(partitions)
    if sum(segment.count for segment in postings) < len(live):
        raise StoreCorruptError("the postings do not hold every chunk")
    documents = DocumentCheck(known.checked)
    held = FaissVectors(segments) if manifest.engine is None else in_engine(manifest)
    return Generation(
        manifest, pool, live, partitions, segments, held, postings, documents, degradation
    )


def _refuse_outdated(layout: Layout, manifest: Manifest) -> None:
    if manifest.is_outdated:
        raise StoreFormatError(
            f"{layout.root} was written by an earlier version: run 'expertrag index repair "
            f"{layout.root}' once, which keeps its documents and vectors"
        )


def _sizes(partitions: Mapping[str, KeyArray]) -> dict[str, int]:
    return {expert: len(keys) for expert, keys in partitions.items()}


def _segment(
    layout: Layout, entry: SegmentEntry, dimension: int, reuse: OpenParts
) -> vectors.Segment:
    """Take over a segment that is mapped while its files are in place; else read them."""
    if entry in reuse.vectors and all(
        _in_place(layout, file) for file in (entry.entry, entry.rows)
    ):
        return reuse.vectors[entry]
    return vectors.open_segment(layout, entry, dimension)


def _postings(layout: Layout, entry: PostingsEntry, reuse: OpenParts) -> PostingSegment:
    if entry in reuse.postings and _in_place(layout, entry.entry):
        return reuse.postings[entry]
    return open_postings(layout, entry)


def _in_place(layout: Layout, file: FileEntry) -> bool:
    path = layout.segments / file.file
    return path.is_file() and path.stat().st_size == file.bytes


def read_manifest(layout: Layout, number: int) -> Manifest:
    """Read the manifest of a generation.

    :raises StoreCorruptError: the manifest is missing, damaged or of another generation.
    """
    path = layout.manifest(number)
    manifest = loads(_read(path), str(path))
    if manifest.generation != number:
        raise StoreCorruptError(f"{path} describes generation {manifest.generation}")
    return manifest


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise StoreCorruptError(f"{path} is missing") from None


def _open_once(layout: Layout, known: Seal | None, reuse: OpenParts) -> Generation:
    numbers, reason = _candidates(layout)
    with store_errors(layout):
        pool = SnapshotPool(layout.database)
    try:
        with ThreadPoolExecutor(1) as beside:  # while files are compared with their checksums
            sealed = beside.submit(_check_sealed, layout, pool, known)
            result = _first_intact(layout, pool, numbers, reason, reuse)
            sealed.result()  # all generations share the database: no fallback
        if isinstance(result, Generation):
            return result
    except BaseException:
        pool.close()
        raise
    pool.close()
    raise StoreCorruptError(result)


def _check_sealed(layout: Layout, pool: SnapshotPool, known: Seal | None) -> None:
    with store_errors(layout), pool.connection() as connection:
        check_seal(connection, known=known)


def _first_intact(
    layout: Layout, pool: SnapshotPool, numbers: Sequence[int], reason: str, reuse: OpenParts
) -> Generation | str:
    """Load the first of some generations that is intact; return why not if there is none."""
    for number in numbers:
        degradation = f"{reason}: answering from generation {number}; {layout.cure}"
        try:
            with store_errors(layout):
                manifest = read_manifest(layout, number)
                return load(layout, manifest, pool, degradation if reason else "", reuse)
        except StoreCorruptError as error:
            reason = reason or str(error)
    return reason


def _candidates(layout: Layout) -> tuple[list[int], str]:
    """Return the generations to try in order, and the error of CURRENT (empty if it is intact)."""
    on_disk = layout.generation_numbers()
    try:
        current = read_current(layout)
    except StoreCorruptError as error:
        return on_disk, str(error)
    return [current, *(number for number in on_disk if number < current)], ""


def _fingerprint(layout: Layout) -> bytes:
    return layout.current.read_bytes() if layout.current.exists() else b""
