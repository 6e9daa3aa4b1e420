"""BM25 over a part of a store: its statistics are those of the part alone.

FTS5 counts every chunk of the store: with its scores, a reader who may see only some documents
could find out which words the others contain. Here the frequency of a word, the number of chunks
and their mean length are those of the admitted chunks, so that scores are the same as in a store
that holds only these.
"""

from __future__ import annotations

import functools
import math
import sqlite3
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_index.query_words import CANDIDATE_TERMS, query_terms, rarest
from expertrag_index.schema import TOKENIZER
from expertrag_index.selection import Selection, best_hits
from expertrag_index.types import ChunkHit, KeyArray, TermStatistics

_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6
"""FTS5's weight of a word that more than half of the chunks contain."""
_CACHED_WORDS = 4096

_Places = NDArray[np.intp]
_Counts = NDArray[np.float64]


class RestrictedLexical:
    """The full-text index as a reader sees it who may see only ``live`` chunks. Thread-safe."""

    def __init__(self, connection: sqlite3.Connection, live: KeyArray) -> None:
        """Read the lengths of the chunks ``live`` (ascending)."""
        self._live = live
        rows = connection.execute("SELECT id, sz FROM chunks_fts_docsize ORDER BY id").fetchall()
        keys = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        lengths = np.fromiter((_tokens(row[1]) for row in rows), np.float64, len(rows))
        self._lengths: _Counts = lengths[np.isin(keys, live)]
        mean = float(self._lengths.mean()) if len(live) else 1.0
        self._saturation = _K1 * (1 - _B + _B * self._lengths / max(mean, 1e-9))
        self._tokenizer = _Tokenizer()
        self._found: dict[str, tuple[_Places, _Counts]] = {}
        self._lock = threading.Lock()

    def statistics(self, connection: sqlite3.Connection, query: str) -> tuple[TermStatistics, ...]:
        """Compute the statistics of each distinct word of a query."""
        size = len(self._live)
        return tuple(
            TermStatistics(term, n, math.log(1 + (size - n + 0.5) / (n + 0.5)))
            for term in query_terms(query)[:CANDIDATE_TERMS]
            for n in (self.frequency(connection, term),)
        )

    def frequency(self, connection: sqlite3.Connection, word: str) -> int:
        """Count the chunks that contain a word."""
        return len(self._postings(connection, word)[0])

    def search(
        self,
        connection: sqlite3.Connection,
        statistics: Sequence[TermStatistics],
        k: int,
        selection: Selection | None,
    ) -> list[ChunkHit]:
        """Find the ``k`` best chunks of a selection; None for all."""
        scores, found = self._scores(connection, statistics)
        if selection is not None:
            found &= np.isin(self._live, selection.keys)
        places = np.flatnonzero(found)
        return best_hits(self._live[places], scores[places], k)

    def scores(
        self,
        connection: sqlite3.Connection,
        statistics: Sequence[TermStatistics],
        keys: Sequence[int],
    ) -> dict[int, float]:
        """BM25 of the given chunks, those in which a term occurs."""
        scores, found = self._scores(connection, statistics)
        wanted = np.asarray(keys, np.int64)
        places = np.searchsorted(self._live, wanted)
        return {
            int(key): float(scores[p]) for key, p in zip(wanted, places, strict=True) if found[p]
        }

    def _scores(
        self, connection: sqlite3.Connection, statistics: Sequence[TermStatistics]
    ) -> tuple[_Counts, NDArray[np.bool_]]:
        """Score all chunks [N], and tell which contain a term [N]."""
        size = len(self._live)
        total, found = np.zeros(size), np.zeros(size, np.bool_)
        for item in rarest(statistics):
            places, counts = self._postings(connection, item.term)
            n = len(places)
            idf = max(math.log((size - n + 0.5) / (n + 0.5)), _LEAST_IDF)
            total[places] += idf * counts * (_K1 + 1) / (counts + self._saturation[places])
            found[places] = True
        return total, found

    def _postings(self, connection: sqlite3.Connection, word: str) -> tuple[_Places, _Counts]:
        """Places in ``live`` of the chunks that contain a word, and how often each does."""
        with self._lock:
            if (known := self._found.get(word)) is not None:
                return known
        found = self._read(connection, self._tokenizer(word))
        with self._lock:
            if len(self._found) >= _CACHED_WORDS:
                self._found.clear()
            self._found[word] = found
        return found

    def _read(
        self, connection: sqlite3.Connection, tokens: Sequence[str]
    ) -> tuple[_Places, _Counts]:
        _create_vocabulary(connection)
        found = _phrase(connection, tokens) if len(tokens) > 1 else _counted(connection, tokens)
        keys, counts = (np.fromiter(column, np.int64) for column in (found, found.values()))
        admitted = np.isin(keys, self._live)
        places = np.searchsorted(self._live, keys[admitted])
        return places, counts[admitted].astype(np.float64)


def _counted(connection: sqlite3.Connection, tokens: Sequence[str]) -> dict[int, int]:
    """Count a token by chunk key, ascending."""
    query = "SELECT doc, count(*) FROM temp.words WHERE term = ? GROUP BY doc ORDER BY doc"
    return {doc: count for token in tokens for doc, count in connection.execute(query, (token,))}


def _phrase(connection: sqlite3.Connection, tokens: Sequence[str]) -> dict[int, int]:
    """Count a phrase by chunk key, ascending."""
    starts: set[tuple[int, str, int]] | None = None
    for place, token in enumerate(tokens):
        rows = connection.execute(
            "SELECT doc, col, offset FROM temp.words WHERE term = ?", (token,)
        )
        here = {(doc, col, offset - place) for doc, col, offset in rows}
        starts = here if starts is None else starts & here
    return dict(sorted(Counter(doc for doc, _, _ in starts or ()).items()))


class _Tokenizer:
    """Splits a text into the tokens of the full-text index."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._connection.executescript(
            f"""CREATE VIRTUAL TABLE texts USING fts5 (text, tokenize = '{TOKENIZER}');
            CREATE VIRTUAL TABLE words USING fts5vocab (texts, instance);"""
        )
        self._lock = threading.Lock()
        self._cached = functools.lru_cache(_CACHED_WORDS)(self._split)

    def __call__(self, text: str) -> tuple[str, ...]:
        return self._cached(text)

    def _split(self, text: str) -> tuple[str, ...]:
        with self._lock:
            self._connection.execute("INSERT INTO texts (rowid, text) VALUES (1, ?)", (text,))
            rows = self._connection.execute("SELECT term FROM words ORDER BY offset").fetchall()
            self._connection.execute("DELETE FROM texts")
        return tuple(str(row[0]) for row in rows)


def _create_vocabulary(connection: sqlite3.Connection) -> None:
    """Make the words of the full-text index readable; a reader's own temporary table."""
    connection.execute(
        "CREATE VIRTUAL TABLE IF NOT EXISTS temp.words USING fts5vocab (main, chunks_fts, instance)"
    )


def _tokens(sizes: bytes) -> int:
    """Sum a row of ``chunks_fts_docsize``: one SQLite varint per column."""
    total = value = 0
    for byte in sizes:
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            total, value = total + value, 0
    return total
