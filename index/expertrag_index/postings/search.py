"""BM25 over segments of postings (k1 1.2, b 0.75; Robertson & Zaragoza 2009, eq. 3.15).

The number of chunks, their mean length and the frequency of a word count only the live chunks. A
score is summed up over the words in one order. It is then the same to the last bit whatever the
segmentation, the filter and the engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expertrag_index.postings.engine import (
    Found,
    PostingEngine,
    Scores,
    WeightedTerms,
    best_engine,
)
from expertrag_index.postings.masks import RowMask, SegmentRows, all_rows, rows_with
from expertrag_index.postings.segment import PostingSegment
from expertrag_index.search.caching import cache_method
from expertrag_index.types import ChunkHit, KeyArray, TermStatistics
from expertrag_index.words.analysis import tokens
from expertrag_index.words.query_words import CANDIDATE_TERMS, query_terms, rarest
from expertrag_index.words.stems import LANGUAGES, marker

_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6
"""Weight of a word that more than half of the chunks contain, as in SQLite's FTS5."""

_LONGEST = 1 << 16  # terms of a chunk; longer ones are scored as if they had so many
_CACHED_TERMS = 1 << 16
_LOOKUP = 8
"""A row that is looked up costs as much as so many postings that are read in order."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A term: the live chunks that contain it, and its place in each segment (-1: in none)."""

    frequency: int
    places: tuple[int, ...]


class PostingSearcher:
    """BM25 over the live chunks of some segments. Thread-safe."""

    def __init__(
        self,
        segments: Sequence[PostingSegment],
        live: KeyArray | None = None,
        engine: PostingEngine | None = None,
    ) -> None:
        """Find the live rows, and their mean length.

        :param segments: no chunk may be in two of them.
        :param live: keys, ascending, of the chunks that are searched and counted; None for all.
        """
        self._segments = tuple(segments)
        self._engine = engine or best_engine()
        everything = all_rows(self._segments)
        self._live = everything if live is None else rows_with(self._segments, live, everything)
        self._size = self._live.count
        self._norms = self._norms_by_length()
        self._entry = cache_method(self._look_up, _CACHED_TERMS)
        self._languages = [
            language for language in LANGUAGES if self._entry(marker(language)).frequency
        ]

    @property
    def size(self) -> int:
        """Number of live chunks that the segments hold."""
        return self._size

    def mask(self, keys: KeyArray) -> RowMask:
        """Return the live rows of the chunks ``keys``, ascending, for ``search``."""
        return rows_with(self._segments, keys, self._live)

    def statistics(self, query: str) -> tuple[TermStatistics, ...]:
        """Compute the statistics of each distinct word of a query."""
        size = self._size
        return tuple(
            TermStatistics(term, n, math.log(1 + (size - n + 0.5) / (n + 0.5)))
            for term in query_terms(query)[:CANDIDATE_TERMS]
            for n in (self.frequency(term),)
        )

    def frequency(self, word: str) -> int:
        """Count the live chunks that contain a word; the rarest part of a compound."""
        return sum(
            min((self._entry(term).frequency for term in terms), default=0)
            for terms in self._spellings(word)
        )

    def _spellings(self, word: str) -> list[tuple[str, ...]]:
        """Return the terms of a word in each vocabulary of the store."""
        own = [tuple(tokens(word, language)) for language in self._languages]
        return list(dict.fromkeys([tuple(tokens(word)), *own]))

    def search(
        self, statistics: Sequence[TermStatistics], k: int, allowed: RowMask | None = None
    ) -> list[ChunkHit]:
        """Find the ``k`` best chunks, of a mask or of all: by score, then by key."""
        entries = self._entries(statistics)
        best = Found(np.empty(0, np.int64), np.empty(0))
        parts = (allowed or self._live).parts
        k = min(k, self._size)
        for number, (segment, part) in enumerate(zip(self._segments, parts, strict=True)):
            terms = self._weigh(segment, number, entries)
            if part.count and len(terms.starts) and k > 0:
                best = self._best(segment, terms, part, k, best)
        hits = zip(best.keys.tolist(), best.scores.tolist(), strict=True)
        return [ChunkHit(key, score) for key, score in hits]

    def scores(
        self, statistics: Sequence[TermStatistics], keys: Sequence[int] | KeyArray
    ) -> dict[int, float]:
        """BM25 of the given chunks, those that are live and in which a term occurs."""
        entries = self._entries(statistics)
        wanted = np.unique(np.asarray(keys, np.int64))
        result: dict[int, float] = {}
        for number, segment in enumerate(self._segments):
            terms = self._weigh(segment, number, entries)
            rows = self._live.parts[number].select(segment, wanted)
            scores = self._engine.scores(segment, terms, self._norms, rows)
            hit = scores > 0
            result.update(zip(segment.keys[rows[hit]].tolist(), scores[hit].tolist(), strict=True))
        return result

    def _best(
        self,
        segment: PostingSegment,
        terms: WeightedTerms,
        part: SegmentRows,
        k: int,
        best_so_far: Found,
    ) -> Found:
        postings = int((terms.ends - terms.starts).sum())
        listed = part.listed
        if listed is None or len(listed) * len(terms.starts) * _LOOKUP > postings:
            return self._engine.best(segment, terms, self._norms, part.bits, k, best_so_far)
        scores = self._engine.scores(segment, terms, self._norms, listed)
        held = np.flatnonzero(scores)
        keys = np.concatenate([best_so_far.keys, segment.keys[listed[held]]])
        scores = np.concatenate([best_so_far.scores, scores[held]])
        order = np.lexsort((keys, -scores))[:k]
        return Found(keys[order], scores[order])

    def _entries(self, statistics: Sequence[TermStatistics]) -> list[tuple[_Entry, float]]:
        """Return the terms to score with their weights, in the order of the sum.

        A word has one weight in all vocabularies: else it would count most in a language that few
        chunks are in.
        """
        weighted: list[tuple[_Entry, float]] = []
        for item in rarest(statistics):
            for terms in zip(*self._spellings(item.term), strict=True):
                entries = [self._entry(term) for term in dict.fromkeys(terms)]
                weight = self._weight(sum(entry.frequency for entry in entries))
                weighted += [(entry, weight) for entry in entries if entry.frequency]
        return weighted

    def _weight(self, frequency: int) -> float:
        size, n = self._size, frequency
        return max(math.log((size - n + 0.5) / (n + 0.5)), _LEAST_IDF) * (_K1 + 1)

    def _weigh(
        self, segment: PostingSegment, number: int, entries: Sequence[tuple[_Entry, float]]
    ) -> WeightedTerms:
        held = [
            (entry.places[number], weight) for entry, weight in entries if entry.places[number] >= 0
        ]
        places = np.array([position for position, _ in held], np.int64)
        return WeightedTerms(
            segment.posting_starts[places].astype(np.int64),
            segment.posting_starts[places + 1].astype(np.int64),
            np.array([weight for _, weight in held], np.float64),
        )

    def _look_up(self, term: str) -> _Entry:
        places = tuple(self._engine.find(segment, term.encode()) for segment in self._segments)
        parts = zip(self._segments, places, self._live.parts, strict=True)
        return _Entry(sum(self._count(*part) for part in parts), places)

    def _count(self, segment: PostingSegment, place: int, live: SegmentRows) -> int:
        if place < 0:
            return 0
        start, end = segment.postings(place)
        if live.bits is None:
            return end - start
        return self._engine.count(segment, start, end, live.bits)

    def _norms_by_length(self) -> Scores:
        """Return what is added to a count, by the length of the chunk."""
        total, longest = 0, 0
        for segment, part in zip(self._segments, self._live.parts, strict=True):
            own = part.of(segment.lengths)
            total += int(own.sum(dtype=np.int64))
            longest = max(longest, int(own.max(initial=0)))
        mean = total / self._size if total else 1.0
        lengths: Scores = np.arange(min(longest, _LONGEST) + 1, dtype=np.float64)
        return np.asarray(_K1 * (1 - _B + _B * lengths / mean), np.float64)
