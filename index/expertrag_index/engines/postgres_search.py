"""Searches one generation in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager

import numpy as np
import psycopg
from pgvector import HalfVector

from expertrag_index.engines.postgres_filters import conditions
from expertrag_index.engines.postgres_tables import Tables
from expertrag_index.engines.postgres_writer import EXACT_LIMIT
from expertrag_index.errors import StoreCorruptError
from expertrag_index.types import FloatArray, KeyArray
from expertrag_index.vector_rows import HalfArray, normalised
from expertrag_index.vector_store import Among, VectorBatch, VectorHits

EF_SEARCH = 200
"""Candidates that a search of an HNSW index keeps."""

_REFINE = 2  # candidates per wanted hit, rescored with the query in full precision
_DEGREE = 16  # neighbours of a chunk in the HNSW index

Reading = Callable[[frozenset[str] | None], AbstractContextManager[psycopg.Connection]]
"""Opens a transaction as a reader with some access labels."""


class PostgresGeneration:
    """The vectors of one generation; implements ``GenerationVectors``."""

    def __init__(
        self, reading: Reading, tables: Tables, generation: int, sizes: Mapping[str, int]
    ) -> None:
        self._reading = reading
        self._tables = tables
        self._generation = generation
        self._sizes = sizes

    def search(self, expert: str, query: FloatArray, k: int, among: Among) -> VectorHits:
        """Find the ``k`` chunks of a partition with the highest cosine; exact cosines.

        :param query: of unit length [D].
        """
        filtered, values = conditions(among.filter or {})
        seen, labels = "true", []
        if among.labels is not None:
            seen, labels = "(labels = '{{}}' OR labels && %s::text[])", [sorted(among.labels)]
        statement = self._tables.of(
            f"""SELECT key, embedding FROM {{chunks}} WHERE expert = %s
            AND added_in <= %s AND removed_in > %s AND {filtered} AND {seen}
            ORDER BY embedding <#> %s LIMIT %s"""
        )
        wanted = (expert, self._generation, self._generation, *values, *labels)
        with self._reading(among.labels) as connection:
            found = connection.execute(statement, (*wanted, HalfVector(query), _REFINE * k))
            rows = found.fetchall()
        if not rows:
            return VectorHits(np.empty(0, np.int64), np.empty(0, np.float32))
        keys = np.array([key for key, _ in rows], np.int64)
        scores = normalised(_stacked([vector for _, vector in rows])) @ query
        order = np.lexsort((keys, -scores))[:k]
        return VectorHits(keys[order], scores[order])

    def cosines(self, expert: str, keys: KeyArray, query: FloatArray) -> FloatArray:
        """Return the cosines [N] of chunks of a partition with a query [D].

        :raises StoreCorruptError: a chunk has no vector.
        """
        statement = self._tables.of("SELECT key, embedding FROM {chunks} WHERE key = ANY (%s)")
        with self._reading(None) as connection:
            rows = connection.execute(statement, (keys.tolist(),)).fetchall()
        found: dict[int, HalfVector] = dict(rows)
        if len(found) < len(set(keys.tolist())):
            raise StoreCorruptError(f"the engine lacks {len(keys) - len(found)} chunks")
        scores: FloatArray = normalised(_stacked([found[key] for key in keys.tolist()])) @ query
        return scores

    def scan_cost(self, expert: str) -> int:
        """Return how many vectors one search of a partition compares, about."""
        size = self._sizes.get(expert, 0)
        return size if size <= EXACT_LIMIT else EF_SEARCH * _DEGREE


def read_rows(connection: psycopg.Connection, tables: Tables, keys: KeyArray) -> VectorBatch:
    """Read the chunks with these keys that are there, by ascending key."""
    statement = tables.of(
        """SELECT key, added_in, removed_in, expert, fields, labels, embedding FROM {chunks}
        WHERE key = ANY (%s) ORDER BY key"""
    )
    rows = connection.execute(statement, (keys.tolist(),)).fetchall()
    return VectorBatch(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.int64),
        [row[3] for row in rows],
        _stacked([row[6] for row in rows]) if rows else np.empty((0, tables.dimension), np.float16),
        [row[4] for row in rows],
        [row[5] for row in rows],
    )


def _stacked(vectors: Sequence[HalfVector]) -> HalfArray:
    return np.stack([vector.to_numpy() for vector in vectors]).astype("<f2")
