"""Sets of chunk keys: those that a filter admits, their partitions, and the best hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_index.postings.masks import RowMask
from expertrag_index.postings.search import PostingSearcher
from expertrag_index.search.ascending_keys import candidate_places
from expertrag_index.search.vectors import Bitmap
from expertrag_index.types import ChunkHit, KeyArray


@dataclass(frozen=True, slots=True)
class Selection:
    """The chunks that a filter admits: as keys, as a bitmap for FAISS, and as rows of postings.

    ``partitions``: the keys by expert, without experts that have none.
    """

    keys: KeyArray
    bitmap: Bitmap
    rows: RowMask
    partitions: Mapping[str, KeyArray]

    @classmethod
    def of(
        cls, keys: KeyArray, partitions: Mapping[str, KeyArray], lexical: PostingSearcher
    ) -> Selection:
        """Select ``keys``, ascending, of a generation with these partitions."""
        rows = rows_by_partition(keys, partitions)
        admitted = {expert: keys[part] for expert, part in rows.items()}
        return cls(keys, bitmap(keys), lexical.mask(keys), admitted)


def rows_by_partition(
    keys: KeyArray, partitions: Mapping[str, KeyArray]
) -> dict[str, NDArray[np.intp]]:
    """Return the rows of ``keys`` by the expert of their partition, without experts that have none.

    Partitions are ascending and may hold millions of keys.
    """
    rows = {}
    for expert, live in partitions.items():
        rows[expert] = np.flatnonzero(live[candidate_places(keys, live)] == keys)
    return {expert: part for expert, part in rows.items() if len(part)}


def bitmap(keys: KeyArray) -> Bitmap:
    """Build a little-endian bitmap over keys for ``faiss.IDSelectorBitmap``."""
    bits = np.zeros(int(keys[-1]) + 1 if len(keys) else 1, np.uint8)
    bits[keys] = 1
    return np.packbits(bits, bitorder="little")


def best_hits(keys: KeyArray, scores: NDArray[np.floating[Any]], k: int) -> list[ChunkHit]:
    """Return the ``k`` hits with the highest scores; among equal scores older chunks come first."""
    order = np.lexsort((keys, -scores))[:k]
    return [ChunkHit(int(keys[i]), float(scores[i])) for i in order]
