"""A query's vectors for a store with partitions: every one is searched.

Every partition of a store is one domain expert's, and is searched by that expert's vector of the
query. A router that leaves partitions out would save little where they are few, as all experts read
a query in one batch, and loses all where it errs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from expertrag_index.types import FloatArray
from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_index.index import Index
    from expertrag_index.types import Filter
    from expertrag_retriever.base import Embedder

QueryVectors = Mapping[str, FloatArray]
"""A query's vectors [D] by expert; "general", the base model's, is always among them."""


class QueryEncoder:
    """Encodes queries for one generation of a store. Safe from any thread."""

    def __init__(self, index: Index, embedder: Embedder) -> None:
        self._index = index
        self._embedder = embedder

    def encode(
        self, query: str, filter: Filter | None = None, vector: FloatArray | None = None
    ) -> QueryVectors:
        """Encode a query by the expert of every partition.

        :param filter: partitions of which it admits nothing are left out.
        :param vector: the query's embedding [D] by the base model, where that is known.
        :raises FilterError: unknown field or operator.
        """
        known = {} if vector is None else {GENERAL: vector}
        wanted = dict.fromkeys([GENERAL, *self._index.partitions(filter)])
        missing = [expert for expert in wanted if expert not in known]
        if not missing:
            return known
        rows = self._embedder.encode_queries_by_experts([query], missing)[0]  # [P, D]
        return {**known, **dict(zip(missing, rows, strict=True))}
