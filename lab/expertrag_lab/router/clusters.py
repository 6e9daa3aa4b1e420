"""K-means clustering, by FAISS."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import FloatArray

_ROUNDS = 50

_faiss: Any = faiss  # its type stubs have only the C++ signatures, not the wrappers'


def k_means(
    points: FloatArray, count: int, seed: int, starts: int = 1
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Cluster points (N, W): return means (K, W) float32 and the nearest mean (N,) of each point.

    Initialised with k-means++ (Arthur & Vassilvitskii 2007); the tightest of several ``starts``.
    K is less than ``count`` if there are fewer distinct points.
    """
    means = np.unique(points, axis=0)
    if len(means) > count:
        clustering = _faiss.Kmeans(
            points.shape[1],
            count,
            niter=_ROUNDS,
            nredo=starts,
            seed=seed,
            init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
            min_points_per_centroid=1,
            max_points_per_centroid=len(points),
        )
        clustering.train(points)
        means = clustering.centroids
    used, nearest = np.unique(nearest_means(points, means, 1)[1], return_inverse=True)
    return means[used], nearest.ravel()


def nearest_means(
    points: FloatArray, means: FloatArray, count: int
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Squared distances (N, ``count``) of points (N, W) and their nearest means, and which."""
    distances, nearest = _faiss.knn(points, means, count)
    return distances, nearest
