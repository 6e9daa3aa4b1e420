"""Connects to engines, once in a process, and moves generations between them and the database."""

from __future__ import annotations

import sqlite3
import threading

from expertrag_common.extras import install_command
from expertrag_index.engines.placement import Placement
from expertrag_index.engines.rows import rows_added, rows_from, select_ended_keys
from expertrag_index.errors import EngineError
from expertrag_index.search.vector_store import GenerationVectors, VectorStore
from expertrag_index.store.manifest import EngineEntry, Manifest
from expertrag_index.store.schema import read_meta

_connected: dict[tuple[EngineEntry, int], VectorStore] = {}
_lock = threading.Lock()


def connect_engine(entry: EngineEntry, dimension: int) -> VectorStore:
    """Return the connection of this process to an engine; make what the store needs there.

    :raises EngineError: it cannot be reached, its client is not installed, or it holds the vectors
        of another store.
    """
    with _lock:
        if (entry, dimension) not in _connected:
            _connected[entry, dimension] = _connect(entry, dimension)
        return _connected[entry, dimension]


def _connect(entry: EngineEntry, dimension: int) -> VectorStore:
    extra = "postgresql" if entry.url.startswith("postgresql:") else "qdrant"
    try:
        if extra == "postgresql":
            from expertrag_index.engines.postgres import PostgresVectors

            return PostgresVectors(entry, dimension)
        from expertrag_index.engines.qdrant import QdrantVectors

        return QdrantVectors(entry, dimension)
    except ModuleNotFoundError as error:
        raise EngineError(
            f"{entry.url} needs {error.name}: {install_command('server', extra)}"
        ) from error


def in_engine(manifest: Manifest) -> GenerationVectors:
    """Return the vectors of a generation in the engine that its manifest names.

    :raises StoreCorruptError: the engine does not hold this generation.
    :raises EngineError: it cannot be reached.
    """
    assert manifest.engine is not None
    store = connect_engine(manifest.engine, manifest.embedder.dimension)
    return store.at(manifest.generation, manifest.partitions)


def send(
    connection: sqlite3.Connection, vectors: Placement, dimension: int, generation: int
) -> None:
    """Bring an engine to a generation whose rows are complete in the database."""
    assert vectors.engine is not None
    with connect_engine(vectors.engine, dimension).writing(generation) as writer:
        if vectors.moved:
            writer.clear()
            for batch in rows_from(connection, read_meta(connection).oldest, generation):
                writer.upsert(batch)
        else:
            for batch in rows_added(connection, generation):
                writer.upsert(batch)
            writer.delete(select_ended_keys(connection, generation))


def recover_engine(connection: sqlite3.Connection, manifest: Manifest) -> None:
    """Drop what a killed writer has left in the engine of the published generation, if it has one.

    Only for a writer: a copy of the store may be of an earlier generation than the engine.
    """
    if manifest.engine is not None:
        store = connect_engine(manifest.engine, manifest.embedder.dimension)
        store.recover(manifest.generation, read_meta(connection).oldest)


def check_engine(connection: sqlite3.Connection, manifest: Manifest) -> list[str]:
    """Compare the engine of a generation with the database; return the problems."""
    if manifest.engine is None:
        return []
    store, number = (
        connect_engine(manifest.engine, manifest.embedder.dimension),
        manifest.generation,
    )
    return store.verify(number, rows_from(connection, number, number))
