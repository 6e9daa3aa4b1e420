"""Searches one generation in Qdrant."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from qdrant_client import models

from expertrag_index.engines.qdrant_collection import PAGE, Collection
from expertrag_index.engines.qdrant_connection import TIMEOUT_S
from expertrag_index.engines.qdrant_points import (
    EVERYBODY,
    conditions,
    is_one_of,
    keys_of,
    of_generation,
    vectors_of,
    with_keys,
)
from expertrag_index.errors import StoreCorruptError
from expertrag_index.search.vector_rows import normalise
from expertrag_index.search.vector_store import Among, VectorHits
from expertrag_index.types import FloatArray, KeyArray

EXACT_LIMIT = 20_000
"""Chunks of an expert that are compared one by one; with more, Qdrant's HNSW index is used."""

_EF_SEARCH = 200  # candidates that a search of an HNSW index keeps
_MOST_CANDIDATES = 2_000  # the same under a filter, which leaves fewer of them
_DEGREE = 16  # neighbours of a chunk in the HNSW index
_MARGIN = 16  # more hits than asked for: their order is by vectors that are rounded to fp16


class QdrantGeneration:
    """The vectors of one generation; implements ``GenerationVectors``."""

    def __init__(self, collection: Collection, generation: int, sizes: Mapping[str, int]) -> None:
        self._collection = collection
        self._generation = generation
        self._sizes = sizes

    def search(self, expert: str, query: FloatArray, k: int, among: Among) -> VectorHits:
        """Find the ``k`` chunks of a partition with the highest cosine; exact cosines.

        Hits that are not in ``among.keys`` are dropped. Where Qdrant cannot express a filter, or
        finds too few chunks, it is given the keys.

        :param query: of unit length [D].
        :raises StoreCorruptError: chunks are missing.
        """
        wanted = min(k, len(among.keys))
        if not wanted:
            return VectorHits(np.empty(0, np.int64), np.empty(0, np.float32))
        filtered = conditions(among.filter or {})
        keys = np.empty(0, np.int64)
        if filtered.whole or len(among.keys) > PAGE:
            must = [is_one_of("expert", [expert]), *filtered.must]
            if among.labels is not None:
                must.append(is_one_of("labels", [EVERYBODY, *sorted(among.labels)]))
            condition = of_generation(self._generation, must, filtered.must_not)
            share = len(among.keys) / max(1, self._sizes.get(expert, 0))
            ef = None if self._is_small(expert) else round(_EF_SEARCH / max(share, 1e-9))
            keys = self._nearest(condition, query, wanted, among.keys, ef)
        if len(keys) < wanted:
            keys = self._nearest_of(among.keys, query, wanted)
        if len(keys) < wanted:
            raise StoreCorruptError(
                f"{self._collection.url} lacks chunks of generation {self._generation}"
            )
        scores = self.cosines(expert, keys, query)
        order = np.lexsort((keys, -scores))[:wanted]
        return VectorHits(keys[order], scores[order])

    def _nearest(
        self, asked: models.Filter, query: FloatArray, wanted: int, among: KeyArray, ef: int | None
    ) -> KeyArray:
        """Return the best chunks that match and are ``among`` some: ``wanted``, or all there are.

        Asks for more and more until enough are among these.

        :param ef: candidates that a search of an HNSW index keeps; None compares all chunks.
        """
        limit = wanted + _MARGIN
        while True:
            keys = self._query(asked, query, limit, ef)
            places = np.minimum(np.searchsorted(among, keys), len(among) - 1)
            admitted: KeyArray = keys[among[places] == keys][: wanted + _MARGIN]
            if len(admitted) >= wanted or (ef is None and len(keys) < limit):
                return admitted
            if len(keys) < limit:
                ef = None  # HNSW may end before it has found all
            limit *= 4

    def _nearest_of(self, keys: KeyArray, query: FloatArray, wanted: int) -> KeyArray:
        """Return the best of some chunks, and perhaps more."""
        parts = [np.empty(0, np.int64)]
        for start in range(0, len(keys), PAGE):
            condition = with_keys(keys[start : start + PAGE])
            parts.append(self._query(condition, query, wanted + _MARGIN, None))
        return np.concatenate(parts)

    def _query(
        self, asked: models.Filter, query: FloatArray, limit: int, ef: int | None
    ) -> KeyArray:
        connection = self._collection.connection
        candidates = None if ef is None else min(ef, _MOST_CANDIDATES)
        params = models.SearchParams(hnsw_ef=candidates, exact=ef is None)
        with connection.use() as client:
            response = client.query_points(
                self._collection.name,
                query=query.tolist(),
                query_filter=asked,
                search_params=None if connection.local else params,  # a folder: always exact
                limit=limit,
                with_payload=False,
                timeout=TIMEOUT_S,
            )
        return keys_of(response.points)

    def cosines(self, expert: str, keys: KeyArray, query: FloatArray) -> FloatArray:
        """Return the cosines [N] of chunks of a partition with a query [D].

        :raises StoreCorruptError: a chunk has no vector.
        """
        distinct, rows = np.unique(keys, return_inverse=True)
        scores = np.full(len(distinct), np.nan, np.float32)
        for points in self._collection.retrieve(distinct):
            vectors = normalise(vectors_of(points, self._collection.dimension))
            scores[np.searchsorted(distinct, keys_of(points))] = vectors @ query
        if missing := int(np.isnan(scores).sum()):
            raise StoreCorruptError(f"{self._collection.url} lacks {missing:,} chunks")
        return scores[rows]

    def scan_cost(self, expert: str) -> int:
        """Return how many vectors one search of a partition compares, about."""
        size = self._sizes.get(expert, 0)
        return size if self._is_small(expert) else _EF_SEARCH * _DEGREE

    def _is_small(self, expert: str) -> bool:
        return self._sizes.get(expert, 0) <= EXACT_LIMIT
