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
from expertrag_index.search.vector_rows import HalfArray, normalise
from expertrag_index.search.vector_store import Among, VectorBatch, VectorHits
from expertrag_index.types import FloatArray, KeyArray

EF_SEARCH = 200
"""Candidates that a search of an HNSW index keeps."""

_FEW = 5_000  # chosen chunks that are asked for by their keys and compared one by one
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
        chosen = among.filter is not None or among.labels is not None
        if chosen and len(among.keys) <= _FEW:
            condition, values = "key = ANY (%s)", [among.keys.tolist()]
            distance = "(embedding <#> %s) + 0"  # compares them all, instead of walking the index
        else:
            condition, values = self._condition(expert, among)
            distance = "embedding <#> %s"
        statement = self._tables.of(
            f"SELECT key, embedding FROM {{chunks}} WHERE {condition} ORDER BY {distance} LIMIT %s"
        )
        wanted = (*values, HalfVector(query), _REFINE * k)
        with self._reading(among.labels) as connection:
            rows = connection.execute(statement, wanted, binary=True).fetchall()
        if not rows:
            return VectorHits(np.empty(0, np.int64), np.empty(0, np.float32))
        keys = np.array([key for key, _ in rows], np.int64)
        scores = normalise(_stack([vector for _, vector in rows])) @ query
        order = np.lexsort((keys, -scores))[:k]
        return VectorHits(keys[order], scores[order])

    def _condition(self, expert: str, among: Among) -> tuple[str, list[object]]:
        """Return the condition of the chunks to search, by their columns, and its values."""
        filtered, values = conditions(among.filter or {})
        condition = f"expert = %s AND added_in <= %s AND removed_in > %s AND {filtered}"
        wanted = [expert, self._generation, self._generation, *values]
        if among.labels is None:
            return condition, wanted
        seen = "(labels = '{{}}' OR labels && %s::text[])"
        return f"{condition} AND {seen}", [*wanted, sorted(among.labels)]

    def cosines(self, expert: str, keys: KeyArray, query: FloatArray) -> FloatArray:
        """Return the cosines [N] of chunks of a partition with a query [D].

        :raises StoreCorruptError: a chunk has no vector.
        """
        statement = self._tables.of("SELECT key, embedding FROM {chunks} WHERE key = ANY (%s)")
        with self._reading(None) as connection:
            rows = connection.execute(statement, (keys.tolist(),), binary=True).fetchall()
        vectors: dict[int, HalfVector] = dict(rows)
        if len(vectors) < len(set(keys.tolist())):
            raise StoreCorruptError(f"the engine lacks {len(keys) - len(vectors)} chunks")
        scores: FloatArray = normalise(_stack([vectors[key] for key in keys.tolist()])) @ query
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
    rows = connection.execute(statement, (keys.tolist(),), binary=True).fetchall()
    return VectorBatch(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.int64),
        np.array([row[2] for row in rows], np.int64),
        [row[3] for row in rows],
        _stack([row[6] for row in rows]) if rows else np.empty((0, tables.dimension), np.float16),
        [row[4] for row in rows],
        [row[5] for row in rows],
    )


def _stack(vectors: Sequence[HalfVector]) -> HalfArray:
    return np.stack([vector.to_numpy() for vector in vectors]).astype("<f2")
