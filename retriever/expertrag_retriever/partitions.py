"""Encodes a query for a store with partitions; every partition is searched.

Each partition belongs to one embedding expert and is searched with that expert's vector of the
query. A router that skips partitions would save little while they are few, because all experts
encode a query in one batch. It would lose every hit of a partition that it skips by mistake.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from expertrag_index.types import FloatArray
from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_index.store.index import Index
    from expertrag_index.types import Filter
    from expertrag_retriever.base import Embedder

QueryVectors = Mapping[str, FloatArray]
"""A query's vectors [D] by expert, "general" for the base model's."""


class QueryEncoder:
    """Encodes queries for one generation of a store. Thread-safe."""

    def __init__(self, index: Index, embedder: Embedder) -> None:
        self._index = index
        self._embedder = embedder

    def encode(
        self,
        query: str,
        filter: Filter | None = None,
        vector: FloatArray | None = None,
        *,
        base: bool = True,
    ) -> QueryVectors:
        """Encode a query with the expert of every partition.

        :param filter: partitions in which no chunk passes it are left out.
        :param vector: the query's embedding [D] by the base model, if already known.
        :param base: include the base model's vector even if no partition needs it.
        :raises FilterError: unknown field or operator.
        """
        known = {} if vector is None else {GENERAL: vector}
        always = [GENERAL] if base else []
        experts = dict.fromkeys([*always, *self._index.partitions(filter)])
        missing = [expert for expert in experts if expert not in known]
        if not missing:
            return known
        rows = self._embedder.encode_queries_by_experts([query], missing)[0]  # [P, D]
        return {**known, **dict(zip(missing, rows, strict=True))}
