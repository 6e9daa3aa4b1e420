"""Finds documents that have nearly the text of another, in one pass over all documents.

MinHash (Broder 1997) over runs of four words, with locality-sensitive hashing by bands. Of pairs of
documents that share nine tenths of their runs, 99.9 % are found. The sketches are on disk: a
build's memory does not grow with its documents.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import Document, LoadFailure
from expertrag_index.words.patterns import WORD

_RUN_WORDS = 4
_BANDS, _ROWS = 8, 4
_ALIKE = 0.8
"""Share of equal minima, an estimate of the share of runs that two documents have in common."""
_FEWEST_WORDS = 50
"""Shorter documents, as the rows of a table, count only if their words are the same."""
_EXAMPLES = 5

_random = np.random.default_rng(0)
_FACTORS = _random.integers(1, 1 << 63, _BANDS * _ROWS, np.uint64) * np.uint64(2) + np.uint64(1)
_WEIGHTS = _random.integers(1, 1 << 63, _RUN_WORDS, np.uint64) * np.uint64(2) + np.uint64(1)
_SHIFT = np.uint64(32)

Minima = NDArray[np.uint32]


class Copies:
    """Watches a stream of documents; sketches are in temporary tables of the connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Start without documents."""
        self._execute = connection.execute
        for name in ("sketches", "bands"):
            self._execute(f"DROP TABLE IF EXISTS temp.{name}")
        self._execute("CREATE TEMP TABLE sketches (id TEXT, total INTEGER, minima BLOB)")
        self._execute("CREATE TEMP TABLE bands (band INTEGER PRIMARY KEY, sketch INTEGER)")
        self._count = 0
        self._examples: list[str] = []
        self._source = ""  # of the first copy

    def watch(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Yield the documents unchanged, and compare each with those before it."""
        for document in documents:
            self._add(document)
            yield document

    def notices(self) -> list[LoadFailure]:
        """Say how many documents have nearly the text of another, with examples."""
        if not self._count:
            return []
        have = "document has" if self._count == 1 else "documents have"
        reason = f"{self._count:,} {have} nearly the text of another: {', '.join(self._examples)}"
        if self._count > _EXAMPLES:
            reason += f" and {self._count - _EXAMPLES:,} more"
        cure = "delete those that are not needed: a search finds each of them"
        return [LoadFailure(self._source, reason, cure, notice=True)]

    def _add(self, document: Document) -> None:
        words = WORD.findall(document.text.lower())
        if len(words) < _RUN_WORDS:
            return
        runs = _runs(words)
        total = int(runs.sum().view(np.int64))
        minima = np.array([(runs * factor).min() >> _SHIFT for factor in _FACTORS], np.uint32)
        bands = _bands(minima)
        first = self._like(minima, None if len(words) >= _FEWEST_WORDS else total, bands)
        if first is not None and first != document.id:
            self._source = self._source or document.source or document.id
            self._count += 1
            if self._count <= _EXAMPLES:
                self._examples.append(f"{document.id} and {first}")
        cursor = self._execute(
            "INSERT INTO temp.sketches VALUES (?, ?, ?)", (document.id, total, minima.tobytes())
        )
        for band in bands:  # of documents that share a band, the first alone is compared with
            self._execute(
                "INSERT OR IGNORE INTO temp.bands VALUES (?, ?)", (band, cursor.lastrowid)
            )

    def _like(self, minima: Minima, total: int | None, bands: list[int]) -> str | None:
        """Return the id of an earlier document with nearly the same text.

        :param total: the sum of the document's runs if they must be the same.
        """
        marks = ", ".join("?" * len(bands))
        rows = self._execute(
            f"""SELECT id, total, minima FROM temp.sketches WHERE rowid IN
            (SELECT sketch FROM temp.bands WHERE band IN ({marks})) ORDER BY rowid""",
            bands,
        )
        for identifier, stored_total, stored in rows:
            if total is not None and total != stored_total:
                continue
            if np.mean(minima == np.frombuffer(stored, np.uint32)) >= _ALIKE:
                return str(identifier)
        return None


def _runs(words: list[str]) -> NDArray[np.uint64]:
    """Return a hash of each run of words."""
    hashes = np.fromiter((crc32(word.encode()) for word in words), np.uint64, len(words))
    runs = np.zeros(len(words) - _RUN_WORDS + 1, np.uint64)
    for at in range(_RUN_WORDS):
        runs += hashes[at : at + len(runs)] * _WEIGHTS[at]
    runs ^= runs >> _SHIFT
    return runs


def _bands(minima: Minima) -> list[int]:
    """Return a number for each band of minima, which documents that share it have in common."""
    rows = minima.astype(np.uint64).reshape(_BANDS, _ROWS)
    mixed = (rows * _WEIGHTS[:_ROWS]).sum(axis=1) + np.arange(_BANDS, dtype=np.uint64)
    return [int(band) for band in mixed.view(np.int64)]
