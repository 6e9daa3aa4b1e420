"""Writes one generation to PostgreSQL, inside a transaction."""

from __future__ import annotations

import psycopg
from pgvector import HalfVector
from psycopg import sql
from psycopg.types.json import Jsonb

from expertrag_index.engines.postgres_filters import as_json
from expertrag_index.engines.postgres_tables import Tables, all_tables
from expertrag_index.search.vector_store import VectorBatch
from expertrag_index.store.schema import NEVER
from expertrag_index.types import KeyArray

EXACT_LIMIT = 20_000
"""Chunks of an expert that are compared one by one; with more, there is an HNSW index."""

_MANY = 500  # chunks after which statistics are brought up to date

_TYPES = ("int8", "int8", "int8", "text", "jsonb", "text[]", "halfvec")


class PostgresWriter:
    """The changes of one generation; implements ``VectorWriter``."""

    def __init__(self, connection: psycopg.Connection, tables: Tables, generation: int) -> None:
        self._connection = connection
        self._tables = tables
        self._generation = generation
        self._upserted = 0
        self._run("CREATE TEMPORARY TABLE incoming (LIKE {chunks}) ON COMMIT DROP")

    def upsert(self, batch: VectorBatch) -> None:
        """Add chunks, or replace those with the same keys."""
        with (
            self._connection.cursor() as cursor,
            cursor.copy("COPY incoming FROM STDIN (FORMAT BINARY)") as copy,
        ):
            copy.set_types(_TYPES)
            for row in zip(
                batch.keys.tolist(),
                batch.added_in.tolist(),
                batch.removed_in.tolist(),
                batch.experts,
                batch.fields,
                batch.labels,
                batch.vectors,
                strict=True,
            ):
                *plain, fields, labels, vector = row
                json = Jsonb(fields, dumps=as_json)
                copy.write_row((*plain, json, list(labels), HalfVector(vector)))
        self._run(
            """INSERT INTO {chunks} SELECT * FROM incoming ON CONFLICT (key) DO UPDATE SET
            (added_in, removed_in, expert, fields, labels, embedding) =
            (excluded.added_in, excluded.removed_in, excluded.expert, excluded.fields,
             excluded.labels, excluded.embedding)"""
        )
        self._connection.execute("TRUNCATE incoming")
        self._upserted += len(batch.keys)

    def delete(self, keys: KeyArray) -> None:
        """End chunks with this generation; readers of earlier ones still find them."""
        statement = self._tables.of("UPDATE {chunks} SET removed_in = %s WHERE key = ANY (%s)")
        self._connection.execute(statement, (self._generation, keys.tolist()))

    def clear(self) -> None:
        """Drop all chunks that are not upserted afterwards."""
        for each in all_tables(self._connection, self._tables):
            self._connection.execute(each.of("DELETE FROM {chunks}"))
        self._run("UPDATE {meta} SET oldest = 0")

    def finish(self) -> None:
        """Record the generation, and index partitions that have become large."""
        self._end_others()
        if self._upserted >= _MANY:  # or the planner ignores the indexes
            self._run("ANALYZE {chunks}")
        statement = self._tables.of("UPDATE {meta} SET newest = %s")
        self._connection.execute(statement, (self._generation,))
        large = self._connection.execute(
            self._tables.of("SELECT expert FROM {chunks} GROUP BY expert HAVING count(*) > %s"),
            (EXACT_LIMIT,),
        )
        # an index that does not fit while it is built takes many times as long
        self._connection.execute("SELECT set_config('maintenance_work_mem', '1GB', true)")
        for (expert,) in large.fetchall():
            self._run(
                """CREATE INDEX IF NOT EXISTS {index} ON {chunks}
                USING hnsw (embedding halfvec_ip_ops) WITH (m = 16, ef_construction = 128)
                WHERE expert = {expert}""",
                index=sql.Identifier(f"chunks_{self._tables.dimension}_hnsw_{expert}"[:63]),
                expert=sql.Literal(expert),
            )

    def _end_others(self) -> None:
        """End the chunks of other dimensions: an embedder has been replaced."""
        ended = "UPDATE {chunks} SET removed_in = %s WHERE removed_in = %s"
        for each in all_tables(self._connection, self._tables):
            if each != self._tables:
                self._connection.execute(each.of(ended), (self._generation, NEVER))

    def _run(self, statement: str, **more: sql.Composable) -> None:
        self._connection.execute(self._tables.of(statement, **more))
