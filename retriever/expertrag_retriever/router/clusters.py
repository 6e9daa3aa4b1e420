"""K-means clustering."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import FloatArray

_ROUNDS = 50

Array = FloatArray | NDArray[np.float64]


def k_means(points: FloatArray, count: int, seed: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Cluster points (N, W): return means (K, W) float32 and the nearest mean (N,) of each point.

    Initialised with k-means++ (Arthur & Vassilvitskii 2007). K is less than ``count`` if there are
    fewer distinct points.
    """
    rng = np.random.default_rng(seed)
    means = points[rng.integers(len(points), size=1)].astype(np.float64)
    while len(means) < count:
        gaps = squared_distances(points, means).min(axis=1)
        gaps[gaps < 1e-9 * max(float(gaps.max()), 1e-9)] = 0.0
        if not gaps.any():
            break
        means = np.vstack([means, points[rng.choice(len(points), p=gaps / gaps.sum())]])
    nearest = squared_distances(points, means).argmin(axis=1)
    for _ in range(_ROUNDS):
        means = np.stack([points[nearest == i].mean(axis=0) for i in np.unique(nearest)])
        before, nearest = nearest, squared_distances(points, means).argmin(axis=1)
        if np.array_equal(before, nearest):
            break
    used, nearest = np.unique(nearest, return_inverse=True)
    return means[used].astype(np.float32), nearest


def squared_distances(points: Array, means: Array) -> NDArray[np.float64]:
    """Squared Euclidean distances (N, K) of points (N, W) and means (K, W).

    Never materialises the pairwise differences (N, K, W).
    """
    products = points.astype(np.float64) @ means.T.astype(np.float64)
    squares = np.square(points, dtype=np.float64).sum(axis=1)[:, None]
    squares = squares + np.square(means, dtype=np.float64).sum(axis=1)
    distances: NDArray[np.float64] = np.maximum(squares - 2 * products, 0.0)
    return distances
