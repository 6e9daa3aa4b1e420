"""Reads the rows of chunks that an engine holds from the database of the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.vector_store import Value, VectorBatch
from expertrag_index.store.live import select_keys
from expertrag_index.store.rows import parse_metadata, row_digest
from expertrag_index.types import KeyArray

BATCH = 1024
"""Chunks that are sent together."""

_SELECT = """
SELECT c.key, c.added_in, c.removed_in, c.expert, v.content_hash, v.checksum, v.embedding,
       d.metadata, d.domain, d.source
FROM chunks c JOIN documents d ON d.row = c.document
LEFT JOIN vectors v ON v.content_hash = c.content_hash
"""


def rows_added(connection: sqlite3.Connection, generation: int) -> Iterator[VectorBatch]:
    """Yield the chunks that a generation adds.

    :raises StoreCorruptError: a vector is missing or does not match its checksum.
    """
    return _batches(connection, "c.added_in = ?", (generation,))


def rows_from(
    connection: sqlite3.Connection, oldest: int, generation: int
) -> Iterator[VectorBatch]:
    """Yield the chunks that are part of a generation from ``oldest`` to ``generation``.

    :raises StoreCorruptError: a vector is missing or does not match its checksum.
    """
    return _batches(connection, "c.removed_in > ? AND c.added_in <= ?", (oldest, generation))


def select_ended_keys(connection: sqlite3.Connection, generation: int) -> KeyArray:
    """Return the keys of the chunks that a generation no longer has, ascending."""
    return select_keys(
        connection, "SELECT c.key FROM chunks c WHERE c.removed_in = ?", (generation,)
    )


def _batches(
    connection: sqlite3.Connection, condition: str, values: Sequence[int]
) -> Iterator[VectorBatch]:
    cursor = connection.execute(f"{_SELECT} WHERE {condition} ORDER BY c.key", tuple(values))
    while rows := cursor.fetchmany(BATCH):
        yield _batch(rows)


def _batch(rows: Sequence[Sequence[object]]) -> VectorBatch:
    keys, added, removed, experts, contents, checksums, blobs, metadata, domains, sources = zip(
        *rows, strict=True
    )
    for key, content, checksum, blob in zip(keys, contents, checksums, blobs, strict=True):
        if blob is None or checksum != row_digest(content, blob):
            raise StoreCorruptError(f"the vector of chunk {key} is damaged")
    stored = [parse_metadata(str(text)) for text in metadata]
    fields = [
        _fields(each.metadata, domain, source)
        for each, domain, source in zip(stored, domains, sources, strict=True)
    ]
    return VectorBatch(
        np.array(keys, np.int64),
        np.array(added, np.int64),
        np.array(removed, np.int64),
        [str(expert) for expert in experts],
        np.frombuffer(b"".join(map(bytes, blobs)), "<f2").reshape(len(rows), -1),
        fields,
        [each.labels for each in stored],
    )


def _fields(metadata: Mapping[str, Any], domain: object, source: object) -> dict[str, list[Value]]:
    """Return what a filter compares; ``domain`` and ``source`` hide metadata of the same names."""
    values = {name: _values(value) for name, value in metadata.items()}
    values["domain"] = [] if domain is None else [str(domain)]
    values["source"] = [str(source)]
    return values


def _values(value: Any) -> list[Value]:
    listed: list[Value] = value if isinstance(value, list) else [value]
    # SQLite's JSON has booleans as 0 and 1, and filters compare what SQLite would
    return [int(item) if isinstance(item, bool) else item for item in listed]
