"""Finds keys of chunks among ascending keys."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import KeyArray


def candidate_places(keys: KeyArray, among: KeyArray) -> NDArray[np.intp]:
    """Return the only place [N] of ``among``, not empty, at which each key may be.

    Where ``among`` has no gaps, as in a store without updates, nothing is searched.
    """
    first, last = among[0], len(among) - 1
    if among[last] - first == last:
        places: NDArray[np.intp] = np.clip(keys - first, 0, last)
    else:
        places = np.minimum(np.searchsorted(among, keys), last)
    return places


def places_of(keys: KeyArray, among: KeyArray) -> NDArray[np.intp]:
    """Return the places of those ``keys`` that are in ``among``; both ascend."""
    if not len(among):
        return np.empty(0, np.intp)
    places = candidate_places(keys, among)
    matches: NDArray[np.intp] = places[among[places] == keys]
    return matches
