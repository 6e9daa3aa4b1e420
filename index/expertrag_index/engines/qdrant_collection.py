"""One collection of Qdrant: the chunks of a store with vectors of one length.

A point of its own, without an expert, records the store and which generations are complete. Being a
point, it is written after the chunks that were written before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
from qdrant_client import models
from qdrant_client.http.exceptions import UnexpectedResponse

from expertrag_index.engines.qdrant_connection import TIMEOUT_S, WRITE_TIMEOUT_S, QdrantConnection
from expertrag_index.engines.qdrant_points import FLOATS, keys_of, number_fields, requests
from expertrag_index.errors import EngineError
from expertrag_index.search.vector_store import VectorBatch
from expertrag_index.store.schema import NEVER
from expertrag_index.types import KeyArray

META_KEY = 1 << 63
"""The id of the point that describes the others; keys of chunks are lower."""

PAGE = 10_000
"""Keys in one request."""

_KEYWORD: models.PayloadSchemaParams = models.KeywordIndexParams(
    type=models.KeywordIndexType.KEYWORD
)
_INTEGER: models.PayloadSchemaParams = models.IntegerIndexParams(
    type=models.IntegerIndexType.INTEGER, lookup=False, range=True
)
_NUMBER = models.FloatIndexParams(type=models.FloatIndexType.FLOAT)
_INDEXES = {
    "expert": _KEYWORD,
    "labels": _KEYWORD,
    "values": _KEYWORD,
    "added_in": _INTEGER,
    "removed_in": _INTEGER,
}
_MOST_INDEXES = 64  # a store of tables may have thousands of fields with numbers


@dataclass(frozen=True, slots=True)
class QdrantState:
    """Which store a collection is of, and its generations: complete ones, from ``oldest`` on."""

    store: str
    newest: int = 0
    oldest: int = 0


class Collection:
    """A collection, which need not be there. Thread-safe; every error is an ``EngineError``."""

    def __init__(self, connection: QdrantConnection, url: str, name: str, dimension: int) -> None:
        self.connection = connection
        self.url = url
        self.name = name
        self.dimension = dimension
        self._indexed: set[str] = set()

    def state(self, store: str) -> QdrantState | None:
        """Return what the collection holds; None if it is not there or empty.

        :raises EngineError: it is of another store.
        """
        with self.connection.use() as client:
            if not client.collection_exists(self.name):
                return None
            records = client.retrieve(self.name, [META_KEY], timeout=TIMEOUT_S)
            if not records and client.count(self.name, timeout=TIMEOUT_S).count == 0:
                return None  # a writer was killed when it had made the collection
        payload = records[0].payload or {} if records else {}
        if payload.get("store") != store:
            raise EngineError(
                f"{self.url} holds the vectors of another store: use another name after #, or "
                f"delete the collection {self.name} in Qdrant"
            )
        return QdrantState(store, int(payload.get("newest", 0)), int(payload.get("oldest", 0)))

    def make(self, store: str) -> QdrantState:
        """Return the state of the collection; make it and its indexes if they are not there."""
        state = self.state(store)
        if state is None:
            self._create()
            state = QdrantState(store)
            self.record(state)
        if not self.connection.local:
            with self.connection.use() as client:
                self._indexed = set(client.get_collection(self.name).payload_schema)
            for field, schema in _INDEXES.items():
                self._index(field, schema)
        return state

    def _create(self) -> None:
        with self.connection.use() as client:
            try:
                client.create_collection(
                    self.name,
                    vectors_config=models.VectorParams(
                        size=self.dimension,
                        distance=models.Distance.DOT,  # vectors are of unit length
                        datatype=models.Datatype.FLOAT16,
                    ),
                    hnsw_config=models.HnswConfigDiff(m=16, ef_construct=128),
                    timeout=WRITE_TIMEOUT_S,
                )
            except (UnexpectedResponse, ValueError):
                if not client.collection_exists(self.name):  # another process was first
                    raise

    def _index(self, field: str, schema: models.PayloadSchemaParams) -> None:
        """Index a field on a server, once."""
        if field in self._indexed:
            return
        with self.connection.use() as client:
            client.create_payload_index(
                self.name, field, field_schema=schema, timeout=WRITE_TIMEOUT_S
            )
        self._indexed.add(field)

    def record(self, state: QdrantState) -> None:
        """Write the state of the collection."""
        point = models.PointStruct(
            id=META_KEY, vector=[0.0] * self.dimension, payload=asdict(state)
        )
        with self.connection.use() as client:
            client.upsert(self.name, [point], timeout=WRITE_TIMEOUT_S)

    def rewind(self, state: QdrantState, last: int) -> QdrantState:
        """Drop what generations after ``last`` have changed; return the new state."""
        if state.newest > last:
            state = replace(state, newest=last)
            self.record(state)
        self.drop(_where("added_in", models.Range(gt=last)))
        self.end(_where("removed_in", models.Range(gt=last, lt=NEVER)), NEVER)
        return state

    def upsert(self, batch: VectorBatch) -> None:
        """Add chunks, or replace those with the same keys."""
        if not self.connection.local:
            for field in sorted(number_fields(batch) - self._indexed):
                if len(self._indexed) < _MOST_INDEXES:
                    self._index(field, _NUMBER)
        for points in requests(batch):
            with self.connection.use() as client:
                client.upsert(self.name, points, timeout=WRITE_TIMEOUT_S)

    def end(self, which: models.Filter, generation: int) -> None:
        """Set the generation with which points end."""
        with self.connection.use() as client:
            client.set_payload(
                self.name, {"removed_in": generation}, which, timeout=WRITE_TIMEOUT_S
            )

    def end_live(self, generation: int) -> None:
        """End all chunks that no generation ends."""
        self.end(_where("removed_in", models.Range(gte=NEVER)), generation)

    def drop(self, which: models.Filter) -> None:
        """Delete points."""
        with self.connection.use() as client:
            selector = models.FilterSelector(filter=which)
            client.delete(self.name, selector, timeout=WRITE_TIMEOUT_S)

    def drop_ended(self, generation: int) -> None:
        """Delete the chunks that ended with this generation or before."""
        self.drop(_where("removed_in", models.Range(lte=generation)))

    def delete(self) -> None:
        """Delete the collection."""
        with self.connection.use() as client:
            client.delete_collection(self.name, timeout=WRITE_TIMEOUT_S)

    def keys(self) -> KeyArray:
        """Return the keys of chunks, ascending."""
        parts, offset = [np.empty(0, np.int64)], None
        while True:
            with self.connection.use() as client:
                points, offset = client.scroll(
                    self.name,
                    limit=PAGE,
                    offset=offset,
                    with_payload=False,
                    timeout=TIMEOUT_S,
                )
            parts.append(keys_of(point for point in points if point.id != META_KEY))
            if offset is None:
                return np.sort(np.concatenate(parts))

    def retrieve(self, keys: KeyArray, *, payload: bool = False) -> Iterator[list[models.Record]]:
        """Yield the points of chunks that are there, with their vectors, a part at a time."""
        size = max(1, FLOATS // self.dimension)
        for start in range(0, len(keys), size):
            with self.connection.use() as client:
                records = client.retrieve(
                    self.name,
                    keys[start : start + size].tolist(),
                    with_payload=payload,
                    with_vectors=True,
                    timeout=TIMEOUT_S,
                )
            yield records


def _where(field: str, limits: models.Range) -> models.Filter:
    return models.Filter(must=[models.FieldCondition(key=field, range=limits)])
