"""Vectors in PostgreSQL with pgvector: one schema for a store, one table for each dimension.

    expertrag_NAME.meta       one row: the store, the newest and the oldest generation
    expertrag_NAME.chunks_D   key, added_in, removed_in, expert, fields, labels, embedding

A generation is one transaction. Row security shows a session the rows without access labels and
those with one of the labels in its setting ``expertrag.labels``, a JSON list. ``*`` shows all.
Superusers are exempt from row security, so that searches ask for the labels as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
import psycopg_pool
from pgvector.psycopg import register_vector

from expertrag_index.engines.address import name_of
from expertrag_index.engines.comparing import Comparison
from expertrag_index.engines.postgres_search import EF_SEARCH, PostgresGeneration, read_rows
from expertrag_index.engines.postgres_tables import Tables, all_tables, make_tables
from expertrag_index.engines.postgres_writer import PostgresWriter
from expertrag_index.errors import EngineError, StoreCorruptError
from expertrag_index.search.vector_store import KEPT, GenerationVectors, VectorBatch, VectorWriter
from expertrag_index.store.manifest import EngineEntry
from expertrag_index.store.schema import NEVER

_POOL = 4  # searches of one process at a time; further threads wait
_CONNECT_S = 10  # to reach the server at first
WAIT_S = 5.0
"""Seconds that a search waits for a connection, if the server is down or all are in use."""


class PostgresVectors:
    """The vectors of one store in PostgreSQL; implements ``VectorStore``."""

    def __init__(self, entry: EngineEntry, dimension: int) -> None:
        """Connect; make schema and table if they are not there.

        :raises EngineError: PostgreSQL cannot be reached or refuses; or the schema is of another
            store.
        """
        self._url = entry.url
        self._tables = Tables(f"expertrag_{name_of(entry)}", dimension)
        address = urlunsplit(urlsplit(entry.url)._replace(fragment=""))
        with self._errors(), psycopg.connect(address, connect_timeout=_CONNECT_S) as one:
            owner = make_tables(one, self._tables, entry.store)
        if owner != entry.store:
            raise EngineError(
                f"{entry.url} holds the vectors of another store: use another name after #, or "
                f"drop them with: DROP SCHEMA {self._tables.schema} CASCADE"
            )
        self._pool = psycopg_pool.ConnectionPool(
            address,
            min_size=0,
            max_size=_POOL,
            timeout=WAIT_S,
            configure=register_vector,
            check=psycopg_pool.ConnectionPool.check_connection,
            open=True,
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise EngineError(
                f"the vectors are in {self._url}, which says: {reason:.300}; see that it runs and "
                "that this user may use it, then try again"
            ) from error

    @contextmanager
    def transaction(self, labels: frozenset[str] | None = None) -> Iterator[psycopg.Connection]:
        """Run statements as a reader with these access labels; None sees all rows.

        :raises EngineError: PostgreSQL cannot be reached or refuses.
        """
        with self._errors(), self._pool.connection() as connection, connection.transaction():
            shown = "*" if labels is None else json.dumps(sorted(labels))
            connection.execute(
                "SELECT set_config('expertrag.labels', %s, true), "
                # the index of an expert is found only by a plan for this expert
                "set_config('plan_cache_mode', 'force_custom_plan', true), "
                "set_config('hnsw.iterative_scan', 'strict_order', true), "
                "set_config('hnsw.ef_search', %s, true)",
                (shown, str(EF_SEARCH)),
            )
            yield connection

    @contextmanager
    def writing(self, generation: int) -> Iterator[VectorWriter]:
        """Write one generation: all of it when the block ends, nothing if it raises."""
        with self.transaction() as connection:
            connection.execute(self._tables.of("SELECT 1 FROM {meta} FOR UPDATE"))
            writer = PostgresWriter(connection, self._tables, generation)
            yield writer
            writer.finish()

    def recover(self, published: int, oldest: int) -> None:
        """Drop what is newer than the published generation, and rows that no reader can see."""
        kept = max(0, oldest - KEPT)
        revive = "UPDATE {chunks} SET removed_in = %s WHERE removed_in > %s AND removed_in < %s"
        bounds = "UPDATE {meta} SET newest = least(newest, %s), oldest = greatest(oldest, %s)"
        with self.transaction() as connection:
            for each in all_tables(connection, self._tables):
                run = connection.execute
                run(each.of("DELETE FROM {chunks} WHERE added_in > %s"), (published,))
                run(each.of(revive), (NEVER, published, NEVER))
                run(each.of("DELETE FROM {chunks} WHERE removed_in <= %s"), (kept,))
            connection.execute(self._tables.of(bounds), (published, kept))

    def at(self, generation: int, sizes: Mapping[str, int]) -> GenerationVectors:
        """Return the vectors of a generation, for searching.

        :param sizes: number of its chunks by expert.
        :raises StoreCorruptError: PostgreSQL does not hold it.
        """
        with self.transaction() as connection:
            cursor = connection.execute(self._tables.of("SELECT newest, oldest FROM {meta}"))
            row = cursor.fetchone()
        newest, oldest = row or (0, 0)
        if not oldest <= generation <= newest:
            raise StoreCorruptError(
                f"{self._url} holds generations {oldest} to {newest}, not {generation}"
            )
        return PostgresGeneration(self.transaction, self._tables, generation, sizes)

    def count(self, generation: int) -> dict[str, int]:
        """Count the chunks of a generation by expert, without experts that have none."""
        query = self._tables.of(
            "SELECT expert, count(*) FROM {chunks} WHERE added_in <= %s AND removed_in > %s "
            "GROUP BY expert"
        )
        with self.transaction() as connection:
            return dict(connection.execute(query, (generation, generation)).fetchall())

    def verify(self, generation: int, expected: Iterator[VectorBatch]) -> list[str]:
        """Compare every chunk of a generation, vectors and fields; return the problems."""
        comparison = Comparison(self._url, generation)
        with self.transaction() as connection:
            for batch in expected:
                comparison.compare(batch, read_rows(connection, self._tables, batch.keys))
        return comparison.problems(sum(self.count(generation).values()))
