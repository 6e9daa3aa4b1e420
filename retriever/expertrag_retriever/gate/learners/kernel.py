"""Kernel ridge regression of the outcomes: predicts from similar questions.

The kernel is a sum of Gaussians, one for each block of signals. Similarity in meaning and
similarity in form then count separately (a fixed-rule combination of multiple kernels; Gönen &
Alpaydin 2011). It is approximated with M landmark rows (Nyström; Williams & Seeger 2001), which is
exact if M = N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import Arrays, GateModel


@dataclass(frozen=True, slots=True, eq=False)
class Kernel(GateModel):
    """Landmarks [M, F], weights [M, 2] and means [2].

    ``starts`` [B + 1] bounds the blocks. ``sizes`` [B] are their numbers of signals, which for a
    vector is its length before the reduction to principal components.
    """

    name = "kernel"
    landmarks: Matrix
    weights: Matrix
    bias: Matrix
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        kernel = kernel_matrix(x, self.landmarks, self.starts, self.sizes)
        return np.clip(kernel @ self.weights + self.bias, 0.0, 1.0)

    def dump(self) -> Arrays:
        """Return the state; the landmarks in half precision."""
        return {
            "landmarks": self.landmarks.astype(np.float16),
            "weights": self.weights,
            "bias": self.bias,
            "starts": self.starts,
            "sizes": self.sizes,
        }

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(
            arrays["landmarks"].astype(float),
            arrays["weights"],
            arrays["bias"],
            arrays["starts"].astype(np.int64),
            arrays["sizes"].astype(np.int64),
        )


def kernel_matrix(
    a: Matrix, b: Matrix, starts: NDArray[np.int64], sizes: NDArray[np.int64]
) -> Matrix:
    """Mean over blocks of exp(-|a - b|² / size), [A, B]; |a - b|² / size is 2 for random rows."""
    total = np.zeros((len(a), len(b)))
    for start, stop, size in zip(starts[:-1], starts[1:], sizes, strict=True):
        left, right = a[:, start:stop], b[:, start:stop]
        squares = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
        total += np.exp(-np.maximum(squares, 0.0) / size)
    return total / len(sizes)
