"""The vectors of a generation in FAISS segments of the store's folder: the default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from expertrag_index.search.vector_store import Among, VectorHits
from expertrag_index.search.vectors import Segment, cosines
from expertrag_index.store.manifest import SegmentEntry
from expertrag_index.types import FloatArray, KeyArray


class FaissVectors:
    """The mapped segments of a generation; implements ``GenerationVectors``."""

    def __init__(self, segments: Mapping[SegmentEntry, Segment]) -> None:
        self._by_expert: dict[str, list[Segment]] = {}
        for entry, segment in segments.items():
            self._by_expert.setdefault(entry.expert, []).append(segment)

    def search(self, expert: str, query: FloatArray, k: int, among: Among) -> VectorHits:
        """Find the ``k`` chunks of a partition with the highest cosine; exact cosines.

        :param query: of unit length [D].
        """
        keys: list[KeyArray] = []
        scores: list[FloatArray] = []
        for segment in self._segments(expert):
            hits = segment.search(query, k, among.bitmap, len(among.keys))
            keys.append(hits.keys)
            exact = hits.scores if hits.exact else cosines([segment], hits.keys, query)
            scores.append(exact)
        all_keys, best = np.concatenate(keys), np.concatenate(scores)
        order = np.lexsort((all_keys, -best))[:k]
        return VectorHits(all_keys[order], best[order])

    def cosines(self, expert: str, keys: KeyArray, query: FloatArray) -> FloatArray:
        """Return the cosines [N] of chunks of a partition with a query [D].

        :raises StoreCorruptError: a chunk has no vector.
        """
        return cosines(self._segments(expert), keys, query)

    def scan_cost(self, expert: str) -> int:
        """Return how many vectors one search of a partition compares, on average."""
        return sum(segment.scan_cost() for segment in self._segments(expert))

    def _segments(self, expert: str) -> Sequence[Segment]:
        return self._by_expert.get(expert, ())
