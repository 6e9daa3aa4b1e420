"""Chooses and writes the postings of the next generation, and reads those of one.

The segments grow like those of vectors (see ``segments``), over all experts together.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from expertrag_index.analysis import tokens
from expertrag_index.errors import StoreCorruptError
from expertrag_index.layout import Layout
from expertrag_index.manifest import FileEntry, PostingsEntry
from expertrag_index.postings.build import Batch, build_postings
from expertrag_index.postings.merge import merge_postings
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.segment_files import map_verified
from expertrag_index.segments import larger
from expertrag_index.settings import WriterSettings
from expertrag_index.types import KeyArray

_BATCH = 4096


def open_postings(layout: Layout, entry: PostingsEntry) -> PostingSegment:
    """Map a segment, and compare it with the manifest.

    :raises StoreCorruptError: the file is missing or damaged, or holds another number of chunks.
    """
    map_verified(layout, entry.entry).close()
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
) -> tuple[PostingsEntry, ...]:
    """Return the segments of a generation of ``live`` chunks; ``new`` ones are in none yet."""
    if not len(live):
        return ()
    if not previous:
        return (_described(layout, _built(layout, connection, live)),)
    kept: Sequence[PostingsEntry] = ()
    if not _must_merge(previous, len(live), len(new), settings):
        kept = larger(previous, len(new))
        if not len(new) and len(kept) == len(previous):
            return tuple(kept)
    merged = _readable(layout, previous[len(kept) :])
    if merged is None:  # the database has all texts
        return (_described(layout, _built(layout, connection, live)),)
    if len(new):
        added = _built(layout, connection, new)
        if not merged:
            return (*kept, _described(layout, added))
        merged.append(PostingSegment.open(layout.segments / added.file))
    entry = _described(layout, merge_postings(merged, live, layout.segments))
    return (*kept, entry) if entry.count else tuple(kept)


def terms_of(connection: sqlite3.Connection, keys: KeyArray) -> Iterator[Batch]:
    """Yield the keys of chunks, ascending, with the terms of their titles and texts."""
    query = """SELECT c.key, c.title, c.text FROM chunks c
        WHERE c.key BETWEEN ? AND ? ORDER BY c.key"""
    for start in range(0, len(keys), _BATCH):
        part = keys[start : start + _BATCH]
        wanted = set(part.tolist())
        rows = connection.execute(query, (int(part[0]), int(part[-1])))
        terms = [tokens(title) + tokens(text) for key, title, text in rows if key in wanted]
        if len(terms) != len(part):
            raise StoreCorruptError("chunks are missing in store.db")
        yield part, terms


def _built(layout: Layout, connection: sqlite3.Connection, keys: KeyArray) -> FileEntry:
    return build_postings(terms_of(connection, keys), layout.segments)


def _described(layout: Layout, file: FileEntry) -> PostingsEntry:
    return PostingsEntry(file, PostingSegment.open(layout.segments / file.file).count)


def _readable(layout: Layout, entries: Sequence[PostingsEntry]) -> list[PostingSegment] | None:
    """Open segments to merge; None if one is damaged."""
    with contextlib.suppress(StoreCorruptError):
        return [open_postings(layout, entry) for entry in entries]
    return None


def _must_merge(
    entries: Sequence[PostingsEntry], live: int, new: int, settings: WriterSettings
) -> bool:
    """Whether to merge all segments, instead of adding one for ``new`` chunks."""
    held = sum(entry.count for entry in entries) + new
    return (
        live <= settings.small
        or len(larger(entries, new)) + (new > 0) > settings.max_segments
        or held - live > settings.dead_share * held
    )
