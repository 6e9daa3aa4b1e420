"""A query's vectors for a store with partitions, and which of them are searched.

Every partition of a store is one domain expert's, and is searched by that expert's vector of the
query. The base model's vector is always made: the gate compares it with its background.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_index.index import Index
    from expertrag_index.types import Filter, FloatArray
    from expertrag_retriever.base import Embedder

TOP_P = 0.98
"""Posterior mass of a query that the searched partitions hold. A query is short, and half of those
of a foreign domain are taken for some domain: one more partition costs little, a missed one all."""


@dataclass(frozen=True, slots=True)
class QueryVectors:
    """A query's vectors [D] by expert, "general" among them, and the partitions to search."""

    by_expert: Mapping[str, FloatArray]
    searched: tuple[str, ...]

    @property
    def to_search(self) -> dict[str, FloatArray]:
        """The vectors of the partitions to search."""
        return {expert: self.by_expert[expert] for expert in self.searched}


class QueryEncoder:
    """Encodes queries for one generation of a store. Safe from any thread."""

    def __init__(self, index: Index, embedder: Embedder) -> None:
        self._index = index
        self._embedder = embedder

    def encode(
        self,
        query: str,
        domain: str | None = None,
        filter: Filter | None = None,
        vector: FloatArray | None = None,
    ) -> QueryVectors:
        """Choose the partitions to search, and encode the query by the expert of every partition.

        The gate looks for the nearest chunk in all of them, in those that are not searched, too.

        :param domain: where it is an expert's, that partition is searched too.
        :param filter: partitions of which it admits nothing are left out.
        :param vector: the query's embedding [D] by the base model, where that is known.
        :raises FilterError: unknown field or operator.
        """
        known = {} if vector is None else {GENERAL: vector}
        chosen = QueryVectors(known, self.selected(query, domain, filter))
        return self.complete(query, chosen, self._index.partitions(filter))

    def complete(
        self, query: str, vectors: QueryVectors, also: Collection[str] = ()
    ) -> QueryVectors:
        """Add the vectors that are missing, those of the experts ``also`` among them."""
        wanted = dict.fromkeys([GENERAL, *vectors.searched, *also])
        missing = [expert for expert in wanted if expert not in vectors.by_expert]
        if not missing:
            return vectors
        rows = self._embedder.encode_queries_by_experts([query], missing)[0]  # [P, D]
        added = dict(zip(missing, rows, strict=True))
        return QueryVectors({**vectors.by_expert, **added}, vectors.searched)

    def selected(
        self, query: str, domain: str | None = None, filter: Filter | None = None
    ) -> tuple[str, ...]:
        """Choose the partitions to search, for the arguments of :meth:`encode`.

        A store of one partition asks no router.
        """
        there = self._index.partitions(filter)
        if len(there) < 2:
            return tuple(there)
        names = (*self._embedder.experts, GENERAL)
        likely = _likely(self._embedder.posteriors([query])[0], names, there)
        return tuple(expert for expert in there if expert in likely or expert in (GENERAL, domain))


def _likely(posterior: FloatArray, names: Sequence[str], there: Collection[str]) -> set[str]:
    """Names of the fewest columns of a posterior [E + 1] that hold ``TOP_P`` of it.

    Of the partitions that are there, and of none of the experts: the mass of an expert without a
    partition goes to what is like it, not to nothing.
    """
    columns = [i for i, name in enumerate(names) if name in there or name == GENERAL]
    mass = posterior[columns].astype(np.float64)
    order = np.argsort(-mass, kind="stable")
    held = np.cumsum(mass[order])
    count = int(np.searchsorted(held, TOP_P * held[-1])) + 1
    return {names[columns[i]] for i in order[:count].tolist()}
