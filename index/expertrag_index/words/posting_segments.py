"""Chooses and writes the postings of the next generation, and reads those of one.

The segments grow like those of vectors (see ``segments``), over all experts together.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence

from expertrag_index.build.settings import WriterSettings
from expertrag_index.errors import StoreCorruptError
from expertrag_index.postings.build import build_postings
from expertrag_index.postings.merge import merge_postings
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.search.segment_files import open_verified
from expertrag_index.search.segments import larger, overgrown
from expertrag_index.store.layout import Layout
from expertrag_index.store.manifest import FileEntry, PostingsEntry
from expertrag_index.types import KeyArray
from expertrag_index.words.chunk_terms import terms_of
from expertrag_index.words.posting_runs import PostingRuns


def open_postings(layout: Layout, entry: PostingsEntry) -> PostingSegment:
    """Map a segment, and compare it with the manifest.

    :raises StoreCorruptError: the file is missing or damaged, or holds another number of chunks.
    """
    open_verified(layout, entry.entry).close()
    segment = PostingSegment.open(layout.segments / entry.entry.file)
    if segment.count != entry.count:
        raise StoreCorruptError(f"{segment.name} is not the segment that the manifest describes")
    return segment


def next_postings(
    layout: Layout,
    connection: sqlite3.Connection,
    settings: WriterSettings,
    previous: Sequence[PostingsEntry],
    live: KeyArray,
    new: KeyArray,
    runs: PostingRuns | None = None,
) -> tuple[PostingsEntry, ...]:
    """Return the segments of a generation of ``live`` chunks; ``new`` ones are in none yet.

    :param runs: the postings of new chunks, if a process builds them.
    """
    if not len(live):
        return ()
    if not previous:
        return (_describe(layout, _build(layout, connection, live, runs)),)
    kept: Sequence[PostingsEntry] = ()
    if not overgrown(previous, len(live), len(new), settings):
        kept = larger(previous, len(new))
        if not len(new) and len(kept) == len(previous):
            return tuple(kept)
    merged = _readable(layout, previous[len(kept) :])
    if merged is None:  # the database has all texts
        return (_describe(layout, _build(layout, connection, live, runs)),)
    if len(new):
        added = _build(layout, connection, new, runs)
        if not merged:
            return (*kept, _describe(layout, added))
        merged.append(PostingSegment.open(layout.segments / added.file))
    entry = _describe(layout, merge_postings(merged, live, layout.segments))
    return (*kept, entry) if entry.count else tuple(kept)


def _build(
    layout: Layout, connection: sqlite3.Connection, keys: KeyArray, runs: PostingRuns | None
) -> FileEntry:
    if runs and (built := runs.segment_of(keys)):
        return built
    return build_postings(terms_of(connection, keys), layout.segments)


def _describe(layout: Layout, file: FileEntry) -> PostingsEntry:
    return PostingsEntry(file, PostingSegment.open(layout.segments / file.file).count)


def _readable(layout: Layout, entries: Sequence[PostingsEntry]) -> list[PostingSegment] | None:
    """Open segments to merge; None if one is damaged."""
    with contextlib.suppress(StoreCorruptError):
        return [open_postings(layout, entry) for entry in entries]
    return None
