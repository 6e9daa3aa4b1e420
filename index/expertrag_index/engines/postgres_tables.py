"""The schema of a store in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

_MAKE: tuple[LiteralString, ...] = (
    "CREATE SCHEMA IF NOT EXISTS {schema}",
    """CREATE TABLE IF NOT EXISTS {meta} (
        store text NOT NULL, newest bigint NOT NULL, oldest bigint NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS {chunks} (
        key bigint PRIMARY KEY,
        added_in bigint NOT NULL,
        removed_in bigint NOT NULL,
        expert text NOT NULL,
        fields jsonb NOT NULL,
        labels text[] NOT NULL,
        embedding halfvec({dimension}) NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS {by_generation} ON {chunks} (removed_in, added_in, expert)",
    "CREATE INDEX IF NOT EXISTS {by_field} ON {chunks} USING gin (fields jsonb_path_ops)",
    "ALTER TABLE {chunks} ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE {chunks} FORCE ROW LEVEL SECURITY",  # also for the owner of the table
    "DROP POLICY IF EXISTS by_label ON {chunks}",
    # in subqueries, which run once and not for every row
    """CREATE POLICY by_label ON {chunks} USING (
        labels = '{{}}'
        OR (SELECT current_setting('expertrag.labels', true)) = '*'
        OR labels && (
            SELECT coalesce(array_agg(label), '{{}}') FROM jsonb_array_elements_text(
                CASE WHEN current_setting('expertrag.labels', true) LIKE '[%]'
                THEN current_setting('expertrag.labels', true)::jsonb ELSE '[]' END) AS label))""",
)


@dataclass(frozen=True, slots=True)
class Tables:
    """The names of the tables of a store, for one dimension of vectors."""

    schema: str
    dimension: int

    def of(self, statement: LiteralString, **more: sql.Composable) -> sql.Composed:
        """Fill ``{meta}``, ``{chunks}`` and further names into a statement."""
        chunks = f"chunks_{self.dimension}"
        return sql.SQL(statement).format(
            schema=sql.Identifier(self.schema),
            meta=sql.Identifier(self.schema, "meta"),
            chunks=sql.Identifier(self.schema, chunks),
            by_generation=sql.Identifier(f"{chunks}_by_generation"),
            by_field=sql.Identifier(f"{chunks}_by_field"),
            dimension=sql.Literal(self.dimension),
            **more,
        )


def all_tables(connection: psycopg.Connection, own: Tables) -> list[Tables]:
    """Return the tables of a store for every dimension that its vectors have had."""
    rows = connection.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename ~ '^chunks_[0-9]+$'",
        (own.schema,),
    )
    return [Tables(own.schema, int(name.removeprefix("chunks_"))) for (name,) in rows]


def make_tables(connection: psycopg.Connection, tables: Tables, store: str) -> str:
    """Make what is not there; return the store that the schema is of."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (tables.schema,))
    present = connection.execute(
        "SELECT to_regclass(%s)", (f"{tables.schema}.chunks_{tables.dimension}",)
    ).fetchone()
    if present is None or present[0] is None:
        if not connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone():
            connection.execute("CREATE EXTENSION vector")
        for statement in _MAKE:
            connection.execute(tables.of(statement))
    row = connection.execute(tables.of("SELECT store FROM {meta}")).fetchone()
    if row is not None:
        return str(row[0])
    connection.execute(tables.of("INSERT INTO {meta} VALUES (%s, 0, 0)"), (store,))
    return store
