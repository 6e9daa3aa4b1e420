"""Keys of chunks: what a filter admits, which partition they are of, and the best of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import ChunkHit, FloatArray, KeyArray
from expertrag_index.vectors import Bitmap


@dataclass(frozen=True, slots=True)
class Selection:
    """What a filter admits: as keys, as a bitmap over keys for FAISS, as JSON for SQL.

    ``partitions``: the keys by expert, without experts that have none.
    """

    keys: KeyArray
    bitmap: Bitmap
    json: str
    partitions: Mapping[str, KeyArray]

    @classmethod
    def of(cls, keys: KeyArray, partitions: Mapping[str, KeyArray]) -> Selection:
        """Select ``keys``, ascending, of a generation with these partitions."""
        rows = rows_by_partition(keys, partitions)
        admitted = {expert: keys[part] for expert, part in rows.items()}
        return cls(keys, bitmap(keys), json.dumps(keys.tolist()), admitted)


def rows_by_partition(
    keys: KeyArray, partitions: Mapping[str, KeyArray]
) -> dict[str, NDArray[np.intp]]:
    """Rows of ``keys`` by the expert whose partition they are of; experts without any are left out.

    Partitions are ascending and may hold millions of keys.
    """
    rows = {}
    for expert, live in partitions.items():
        places = np.minimum(np.searchsorted(live, keys), max(len(live) - 1, 0))
        rows[expert] = np.flatnonzero(live[places] == keys)
    return {expert: part for expert, part in rows.items() if len(part)}


def bitmap(keys: KeyArray) -> Bitmap:
    """Bits over keys, little-endian, for ``faiss.IDSelectorBitmap``."""
    bits = np.zeros(int(keys[-1]) + 1 if len(keys) else 1, np.uint8)
    bits[keys] = 1
    return np.packbits(bits, bitorder="little")


def best_hits(keys: KeyArray, scores: FloatArray, k: int) -> list[ChunkHit]:
    """Return the ``k`` of highest score; of equal ones the older chunk comes first."""
    order = np.lexsort((keys, -scores))[:k]
    return [ChunkHit(int(keys[i]), float(scores[i])) for i in order]
