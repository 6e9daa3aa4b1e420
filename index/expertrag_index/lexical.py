"""BM25 over SQLite's FTS5 (k1 1.2, b 0.75, Porter stems; Robertson & Zaragoza 2009, eq. 3.15).

A query is split into words here and each word is quoted, so that nothing in it is interpreted as
FTS5 syntax. Stop words are left out unless nothing else remains.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Sequence

import numpy as np

from expertrag_index.query_words import CANDIDATE_TERMS, query_terms, rarest
from expertrag_index.rows import sorted_keys
from expertrag_index.selection import Selection
from expertrag_index.types import ChunkHit, KeyArray, TermStatistics

TITLE_WEIGHT = 1.0
_RANK = f"bm25({TITLE_WEIGHT}, 1.0)"


class Lexical:
    """The full-text index of one generation. Thread-safe."""

    def __init__(self, connection: sqlite3.Connection, live: KeyArray) -> None:
        """Find the tombstones: chunks in the full-text index that are not ``live`` (ascending)."""
        indexed = sorted_keys(connection, "SELECT id FROM chunks_fts_docsize")
        dead = np.setdiff1d(indexed, live, assume_unique=True)
        self._dead = json.dumps(dead.tolist()) if len(dead) else None
        self._size = len(live)

    def statistics(self, connection: sqlite3.Connection, query: str) -> tuple[TermStatistics, ...]:
        """Compute the statistics of each distinct word of a query."""
        return tuple(
            self._statistics(connection, term) for term in query_terms(query)[:CANDIDATE_TERMS]
        )

    def frequency(self, connection: sqlite3.Connection, word: str) -> int:
        """Count the chunks that contain a word, including those of older generations."""
        (count,) = connection.execute(
            "SELECT count(*) FROM chunks_fts WHERE chunks_fts MATCH ?", (f'"{word}"',)
        ).fetchone()
        return int(count)

    def search(
        self,
        connection: sqlite3.Connection,
        statistics: Sequence[TermStatistics],
        k: int,
        selection: Selection | None,
    ) -> list[ChunkHit]:
        """Find the ``k`` best chunks of a selection; None for all."""
        match = _match(statistics)
        if not match:
            return []
        # the + prevents FTS5 from running the match once per key
        restriction = ""
        values: tuple[str, ...] = ()
        if selection is not None:
            restriction = "AND +f.rowid IN (SELECT value FROM json_each(?))"
            values = (selection.json,)
        elif self._dead is not None:
            restriction = "AND +f.rowid NOT IN (SELECT value FROM json_each(?))"
            values = (self._dead,)
        rows = connection.execute(
            f"""SELECT f.rowid, -f.rank FROM chunks_fts f
                WHERE chunks_fts MATCH ? AND f.rank MATCH '{_RANK}' {restriction}
                ORDER BY f.rank, f.rowid LIMIT ?""",
            (match, *values, k),
        )
        return [ChunkHit(key, score) for key, score in rows]

    def scores(
        self,
        connection: sqlite3.Connection,
        statistics: Sequence[TermStatistics],
        keys: Sequence[int],
    ) -> dict[int, float]:
        """BM25 of the given chunks, those in which a term occurs."""
        match = _match(statistics)
        if not match:
            return {}
        rows = connection.execute(
            f"""SELECT f.rowid, -f.rank FROM chunks_fts f
                WHERE chunks_fts MATCH ? AND f.rank MATCH '{_RANK}'
                AND +f.rowid IN (SELECT value FROM json_each(?))""",
            (match, json.dumps([int(key) for key in keys])),
        )
        return dict(rows)

    def _statistics(self, connection: sqlite3.Connection, term: str) -> TermStatistics:
        size = self._size
        frequency = min(self.frequency(connection, term), size)
        return TermStatistics(
            term, frequency, math.log(1 + (size - frequency + 0.5) / (frequency + 0.5))
        )


def _match(statistics: Sequence[TermStatistics]) -> str:
    return " OR ".join(f'"{item.term}"' for item in rarest(statistics))
