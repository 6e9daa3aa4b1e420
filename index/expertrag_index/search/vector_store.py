"""Where the vectors of a store are searched: FAISS segments in its folder, or an engine elsewhere.

``GenerationVectors`` is what a search needs of one generation. FAISS segments implement it
(``faiss_vectors``), and so do the engines, PostgreSQL and Qdrant (``engines``). An engine is a
``VectorStore``: it holds a row for each chunk and follows the generations of the folder, whose
database keeps every vector, so that an engine can always be filled again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from expertrag_index.search.vector_rows import HalfArray
from expertrag_index.search.vectors import Bitmap
from expertrag_index.types import Filter, FloatArray, KeyArray

Value = str | int | float

KEPT = 64
"""Generations for which an engine keeps rows that the newest one does not have, for readers."""


@dataclass(frozen=True, slots=True)
class VectorHits:
    """Keys and cosines of a search, best first."""

    keys: KeyArray
    scores: FloatArray


@dataclass(frozen=True, slots=True)
class Among:
    """The chunks of a partition that a search may return, in several forms.

    ``keys``: theirs, ascending. ``bitmap``: over keys, for FAISS; None if nothing that the segments
    hold is left out. ``filter`` and ``labels``: what has chosen them, for an engine with columns of
    its own. None for no filter, and for a reader that sees everything.
    """

    keys: KeyArray
    bitmap: Bitmap | None = None
    filter: Filter | None = None
    labels: frozenset[str] | None = None


class GenerationVectors(Protocol):
    """The vectors of one generation. Thread-safe."""

    def search(self, expert: str, query: FloatArray, k: int, among: Among) -> VectorHits:
        """Find the ``k`` chunks of a partition with the highest cosine; exact cosines.

        :param query: of unit length [D].
        """
        ...

    def cosines(self, expert: str, keys: KeyArray, query: FloatArray) -> FloatArray:
        """Return the cosines [N] of chunks of a partition with a query [D].

        :raises StoreCorruptError: a chunk has no vector.
        """
        ...

    def scan_cost(self, expert: str) -> int:
        """Return how many vectors one search of a partition compares, about."""
        ...


@dataclass(frozen=True, slots=True)
class VectorBatch:
    """N chunks as an engine holds them.

    A chunk is part of generation g if ``added_in <= g < removed_in``. ``fields``: what filters
    compare, by name, always as lists; a boolean is 0 or 1. ``labels``: access labels, empty for
    a document that everybody sees.
    """

    keys: KeyArray
    added_in: KeyArray
    removed_in: KeyArray
    experts: Sequence[str]
    vectors: HalfArray
    fields: Sequence[Mapping[str, Sequence[Value]]]
    labels: Sequence[Sequence[str]]


class VectorWriter(Protocol):
    """The changes of one generation."""

    def upsert(self, batch: VectorBatch) -> None:
        """Add chunks, or replace those with the same keys."""
        ...

    def delete(self, keys: KeyArray) -> None:
        """End chunks with this generation; readers of earlier ones still find them."""
        ...

    def clear(self) -> None:
        """Drop all chunks that are not upserted afterwards."""
        ...


class VectorStore(Protocol):
    """An engine with the vectors of one store. Thread-safe.

    Every method raises ``EngineError`` if the engine cannot be reached or refuses.
    """

    def writing(self, generation: int) -> AbstractContextManager[VectorWriter]:
        """Write one generation: all of it when the block ends, nothing if it raises.

        An engine without transactions may hold a part of it, until ``recover`` drops that.
        """
        ...

    def recover(self, published: int, oldest: int) -> None:
        """Drop what is newer than the published generation, and rows that no reader can see.

        :param oldest: readers of generations before this one are no longer served.
        """
        ...

    def at(self, generation: int, sizes: Mapping[str, int]) -> GenerationVectors:
        """Return the vectors of a generation, for searching.

        :param sizes: number of its chunks by expert.
        :raises StoreCorruptError: the engine does not hold this generation.
        """
        ...

    def count(self, generation: int) -> dict[str, int]:
        """Count the chunks of a generation by expert, without experts that have none."""
        ...

    def verify(self, generation: int, expected: Iterator[VectorBatch]) -> list[str]:
        """Compare every chunk of a generation, vectors and fields; return the problems."""
        ...
