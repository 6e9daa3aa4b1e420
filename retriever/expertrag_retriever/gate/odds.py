"""Probabilities and their log odds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST = 1e-6
_MOST = 50.0  # larger log odds give the same probability


def log_odds(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p)); also finite for 0 and 1."""
    p = np.clip(probabilities, _LEAST, 1.0 - _LEAST)
    odds: NDArray[np.float64] = np.log(p / (1.0 - p))
    return odds


def logistic(logits: ArrayLike) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    probabilities: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -_MOST, _MOST)))
    return probabilities
