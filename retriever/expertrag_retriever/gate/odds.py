"""Probabilities and their log odds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST = 1e-6
_MOST = 50.0  # larger log odds give the same probability


def log_odds(probabilities: ArrayLike) -> NDArray[np.float64]:
    """Return log(p / (1 - p)); finite for 0 and 1, too."""
    p = np.clip(probabilities, _LEAST, 1.0 - _LEAST)
    found: NDArray[np.float64] = np.log(p / (1.0 - p))
    return found


def logistic(logits: ArrayLike) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logits)), without overflow."""
    found: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-np.clip(logits, -_MOST, _MOST)))
    return found
