"""Writes one generation to Qdrant, which has no transactions.

Readers of earlier generations do not see new chunks, and still see ended ones. The generation is
recorded when all of it is there; until then, ``rewind`` of the collection undoes it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from expertrag_index.engines.qdrant_collection import PAGE, Collection
from expertrag_index.engines.qdrant_points import with_keys
from expertrag_index.search.vector_store import VectorBatch
from expertrag_index.types import KeyArray


class QdrantWriter:
    """The changes of one generation; implements ``VectorWriter``."""

    def __init__(self, collection: Collection, store: str, generation: int) -> None:
        self._collection = collection
        self._generation = generation
        self._state = collection.make(store)
        self._refilled: list[KeyArray] | None = None  # keys that came after clear
        self._started = False

    def upsert(self, batch: VectorBatch) -> None:
        """Add chunks, or replace those with the same keys."""
        self._start()
        self._collection.upsert(batch)
        if self._refilled is not None:
            self._refilled.append(batch.keys)

    def delete(self, keys: KeyArray) -> None:
        """End chunks with this generation; readers of earlier ones still find them."""
        self._start()
        for start in range(0, len(keys), PAGE):
            self._collection.end(with_keys(keys[start : start + PAGE]), self._generation)

    def clear(self) -> None:
        """Drop all chunks that are not upserted afterwards, when the generation is complete."""
        self._refilled = []

    def _start(self) -> None:
        """Drop what killed writers have left, once; what is refilled replaces it."""
        if self._started or self._refilled is not None:
            return
        self._started = True
        before = self._generation - 1
        last = min(self._state.newest, before)
        self._state = self._collection.rewind(self._state, last)
        if last < before:
            # the generations between had vectors of another length, and all chunks come anew
            self._collection.end_live(last + 1)

    def finish(self) -> None:
        """Complete the generation."""
        if self._refilled is None:
            self._start()
        else:
            held = self._collection.keys()
            others = np.setdiff1d(held, np.concatenate([*self._refilled, held[:0]]))
            for start in range(0, len(others), PAGE):
                self._collection.drop(with_keys(others[start : start + PAGE]))
        self._collection.record(replace(self._state, newest=self._generation))
