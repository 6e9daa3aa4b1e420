"""Chooses and writes the postings of the next generation, and reads the postings of any.

The segments grow like segments of vectors (see ``segments``), over all experts together.
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
from expertrag_index.words.analysis import ANALYSIS_VERSION
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


def has_old_terms(entries: Sequence[PostingsEntry]) -> bool:
    """Whether a version of this program that makes other terms of a text wrote any of them."""
    return any(entry.analysis != ANALYSIS_VERSION for entry in entries)


class PostingsWriter:
    """Writes the postings that a generation needs in addition to those that it keeps."""

    def __init__(
        self,
        layout: Layout,
        connection: sqlite3.Connection,
        settings: WriterSettings,
        runs: PostingRuns | None = None,
    ) -> None:
        """Write postings.

        :param runs: the postings of new chunks, if a process builds them.
        """
        self._layout = layout
        self._connection = connection
        self._settings = settings
        self._runs = runs

    def next_postings(
        self, previous: Sequence[PostingsEntry], live: KeyArray, new: KeyArray
    ) -> tuple[PostingsEntry, ...]:
        """Return the segments of a generation of ``live`` chunks; ``new`` ones are in none yet."""
        if not len(live):
            return ()
        if not previous or has_old_terms(previous):
            return (self._describe(self._build(live)),)
        kept: Sequence[PostingsEntry] = ()
        if not overgrown(previous, len(live), len(new), self._settings):
            kept = larger(previous, len(new))
            if not len(new) and len(kept) == len(previous):
                return tuple(kept)
        merged = self._open_all(previous[len(kept) :])
        if merged is None:  # the database has all texts
            return (self._describe(self._build(live)),)
        if len(new):
            added = self._build(new)
            if not merged:
                return (*kept, self._describe(added))
            merged.append(PostingSegment.open(self._layout.segments / added.file))
        entry = self._describe(merge_postings(merged, live, self._layout.segments))
        return (*kept, entry) if entry.count else tuple(kept)

    def _build(self, keys: KeyArray) -> FileEntry:
        if self._runs and (built := self._runs.segment_of(keys)):
            return built
        return build_postings(terms_of(self._connection, keys), self._layout.segments)

    def _describe(self, file: FileEntry) -> PostingsEntry:
        count = PostingSegment.open(self._layout.segments / file.file).count
        return PostingsEntry(file, count, ANALYSIS_VERSION)

    def _open_all(self, entries: Sequence[PostingsEntry]) -> list[PostingSegment] | None:
        """Open segments to merge; None if one is damaged."""
        with contextlib.suppress(StoreCorruptError):
            return [open_postings(self._layout, entry) for entry in entries]
        return None
