"""Singular-kernel baseline: nearest rows, weighted by a power of their distance.

The Hilbert kernel estimate (Devroye, Györfi & Krzyżak 1998) has weight |x - x_i|^-power, which is
infinite at a row itself, so that it interpolates. It is truncated to the nearest rows as in Belkin,
Rakhlin & Tsybakov (2019).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import WAYS, Arrays, GateModel

_LEAST_DISTANCE = 1e-6
_BATCH = 512


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours(GateModel):
    """The rows [N, F] and their outcomes [N, 2]; ``about`` = (neighbours, power)."""

    name = "neighbours"
    rows: NDArray[np.float16]
    right: NDArray[np.bool_]
    about: Matrix

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        known = self.rows.astype(float)
        parts = [
            self._predict(x[start : start + _BATCH], known) for start in range(0, len(x), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, WAYS))

    def _predict(self, x: Matrix, known: Matrix) -> Matrix:
        count = min(int(self.about[0]), len(known))
        squares = (x**2).sum(1)[:, None] + (known**2).sum(1) - 2 * x @ known.T
        nearest = np.argpartition(squares, count - 1, axis=1)[:, :count]
        distances = np.sqrt(np.maximum(np.take_along_axis(squares, nearest, axis=1), 0.0))
        weights = np.maximum(distances, _LEAST_DISTANCE) ** -self.about[1]  # [N, count]
        weights /= weights.sum(axis=1, keepdims=True)
        predicted: Matrix = (weights[:, :, None] * self.right[nearest]).sum(axis=1)
        return predicted

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(arrays["rows"], arrays["right"].astype(bool), arrays["about"])
