"""Vectors in Qdrant: one collection for a store and each length of its vectors.

    expertrag_NAME_D   a point for each chunk (see ``qdrant_points``), and one for the store

On a server they are float16, searched with HNSW and indexes of the fields that filters ask for. A
folder (``qdrant:/FOLDER#NAME``) is searched by the client itself, chunk by chunk, in one process:
for tests, and for stores of some thousand chunks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace

from expertrag_index.engines.address import name_of
from expertrag_index.engines.comparing import Comparison
from expertrag_index.engines.qdrant_collection import Collection, QdrantState
from expertrag_index.engines.qdrant_connection import TIMEOUT_S, connect
from expertrag_index.engines.qdrant_points import as_stored, from_records, of_generation
from expertrag_index.engines.qdrant_search import QdrantGeneration
from expertrag_index.engines.qdrant_writer import QdrantWriter
from expertrag_index.errors import EngineError, StoreCorruptError
from expertrag_index.search.vector_store import KEPT, GenerationVectors, VectorBatch, VectorWriter
from expertrag_index.store.manifest import EngineEntry

_MOST_EXPERTS = 10_000


class QdrantVectors:
    """The vectors of one store in Qdrant; implements ``VectorStore``."""

    def __init__(self, entry: EngineEntry, dimension: int) -> None:
        """Connect; the collection is made when it is first written to.

        :raises EngineError: Qdrant cannot be reached or refuses, or holds another store.
        """
        self._store = entry.store
        self._prefix = f"expertrag_{name_of(entry)}_"
        connection = connect(entry.url)
        self._collection = Collection(
            connection, entry.url, f"{self._prefix}{dimension}", dimension
        )
        self._collection.state(self._store)

    @contextmanager
    def writing(self, generation: int) -> Iterator[VectorWriter]:
        """Write one generation: readers can ask for it when the block ends.

        If the block raises, ``recover``, or the next writer, drops what there is of it.
        """
        writer = QdrantWriter(self._collection, self._store, generation)
        yield writer
        writer.finish()

    def recover(self, published: int, oldest: int) -> None:
        """Drop what is newer than the published generation, and rows that no reader can see.

        :raises StoreCorruptError: Qdrant does not hold the published generation.
        """
        state = self._check_held(published)
        state = self._collection.rewind(state, published)
        kept = max(0, oldest - KEPT)
        if kept > state.oldest:
            self._collection.record(replace(state, oldest=kept))
            self._collection.drop_ended(kept)
            self._drop_others(kept)

    def _drop_others(self, kept: int) -> None:
        """Delete the collections of earlier embedders, once no reader can need them."""
        connection = self._collection.connection
        with connection.use() as client:
            names = [each.name for each in client.get_collections().collections]
        for name in names:
            dimension = name.removeprefix(self._prefix)
            if name in (self._collection.name, dimension) or not re.fullmatch("[0-9]+", dimension):
                continue
            other = Collection(connection, self._collection.url, name, int(dimension))
            with suppress(EngineError):  # of another store
                state = other.state(self._store)
                if state and state.newest < kept:
                    other.delete()

    def at(self, generation: int, sizes: Mapping[str, int]) -> GenerationVectors:
        """Return the vectors of a generation, for searching.

        :param sizes: number of its chunks by expert.
        :raises StoreCorruptError: Qdrant does not hold it.
        """
        self._check_held(generation)
        return QdrantGeneration(self._collection, generation, sizes)

    def _check_held(self, generation: int) -> QdrantState:
        state = self._collection.state(self._store) or QdrantState(self._store)
        if not state.oldest <= generation <= state.newest:
            raise StoreCorruptError(
                f"{self._collection.url} holds generations {state.oldest} to {state.newest}, "
                f"not {generation}"
            )
        return state

    def count(self, generation: int) -> dict[str, int]:
        """Count the chunks of a generation by expert, without experts that have none."""
        if self._collection.state(self._store) is None:
            return {}
        with self._collection.connection.use() as client:
            facet = client.facet(
                self._collection.name,
                "expert",
                facet_filter=of_generation(generation),
                limit=_MOST_EXPERTS,
                exact=True,
                timeout=TIMEOUT_S,
            )
        return {str(hit.value): hit.count for hit in facet.hits}

    def verify(self, generation: int, expected: Iterator[VectorBatch]) -> list[str]:
        """Compare every chunk of a generation, vectors and fields; return the problems."""
        try:
            self._check_held(generation)
        except StoreCorruptError as error:
            return [str(error)]
        comparison = Comparison(self._collection.url, generation)
        dimension = self._collection.dimension
        for batch in expected:
            parts = self._collection.retrieve(batch.keys, payload=True)
            records = [record for part in parts for record in part]
            comparison.compare(as_stored(batch), from_records(records, dimension))
        return comparison.problems(sum(self.count(generation).values()))
