"""Domains of texts that nobody has labelled: clusters, named by their most telling words.

N texts, H hidden, W directions of most spread
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import FloatArray
from expertrag_retriever.errors import RouterError
from expertrag_retriever.router.clusters import k_means, squared_distances
from expertrag_retriever.router.types import Pool
from expertrag_retriever.router.words import telling_words

MOST_CLUSTERS = 12
FEWEST_TEXTS = 20
"""Of a cluster, as of a domain."""

_DIRECTIONS = 8
"""In which texts are compared, each scaled to the same spread. Normalised mutual information with
the six domains of 4,446 texts, in seven clusters: .73 with 8, .76 with 16, .62 with 32; unscaled
.53, .54, .60, as the first direction then tells long texts from short ones. Chosen on these texts,
as was the 5 % below."""

_STARTS = 3
_NEAR_BEST = 0.95
_NAME_WORDS = 3


def cluster_texts(
    texts: Sequence[str], pool: Pool, count: int | None = None, seed: int = 0
) -> dict[str, list[str]]:
    """Sort texts into clusters, largest first, each named by the words that tell it from the rest.

    Without a ``count`` it is the smallest from 2 to 12 whose simplified silhouette (Hruschka et al.
    2004) comes within 5 % of the best: more clusters than that only split what belongs together.
    Empty and repeated texts are left out.

    :raises RouterError: fewer than two clusters, or too few texts for so many.
    """
    distinct = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    fewest = 2 if count is None else count
    if fewest < 2:
        raise RouterError(f"texts fall into two clusters at least; got {count}")
    if len(distinct) < fewest * FEWEST_TEXTS:
        raise RouterError(
            f"{len(distinct)} different texts are too few for {fewest} clusters: add some, "
            f"{FEWEST_TEXTS} a cluster at least"
        )
    points = _points(pool(distinct))
    nearest = _best_count(points, seed) if count is None else _cluster(points, count, seed)[1]
    order = np.argsort(-np.bincount(nearest), kind="stable")
    groups = [[distinct[row] for row in np.flatnonzero(nearest == label)] for label in order]
    return dict(zip(_names(groups), groups, strict=True))


def _points(pooled: FloatArray) -> FloatArray:
    """(N, W) of mean hidden states (N, H): brought to unit length, in their main directions."""
    unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    centered = (unit - unit.mean(axis=0)).astype(np.float64)
    vectors = np.linalg.eigh(centered.T @ centered)[1][:, ::-1]
    points = centered @ vectors[:, :_DIRECTIONS]
    scaled: FloatArray = (points / np.maximum(points.std(axis=0), 1e-9)).astype(np.float32)
    return scaled


def _cluster(points: FloatArray, count: int, seed: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Return the means and clusters of the tightest of some starts."""
    found = [k_means(points, count, seed + start) for start in range(_STARTS)]
    return min(found, key=lambda pair: float(np.square(points - pair[0][pair[1]]).sum()))


def _best_count(points: FloatArray, seed: int) -> NDArray[np.int64]:
    scores = []
    for count in range(2, min(MOST_CLUSTERS, len(points) // FEWEST_TEXTS) + 1):
        means, nearest = _cluster(points, count, seed)
        if len(means) > 1 and np.bincount(nearest).min() >= FEWEST_TEXTS:
            scores.append((_silhouette(points, means, nearest), nearest))
    if not scores:
        raise RouterError(
            "the texts do not fall into clusters of 20 or more: add some, or name them"
        )
    best = max(score for score, _ in scores)
    return next(nearest for score, nearest in scores if score >= min(best, _NEAR_BEST * best))


def _silhouette(points: FloatArray, means: FloatArray, nearest: NDArray[np.int64]) -> float:
    """Mean of (b - a) / max(a, b), with a the distance to the own mean, b to the next."""
    distances = np.sqrt(squared_distances(points, means))  # [N, K]
    rows = np.arange(len(points))
    own = distances[rows, nearest]
    distances[rows, nearest] = np.inf
    other = distances.min(axis=1)
    return float(((other - own) / np.maximum(np.maximum(own, other), 1e-12)).mean())


def _names(groups: Sequence[Sequence[str]]) -> list[str]:
    """Name each group by its most telling words, and number what has none or is named already."""
    names: list[str] = []
    for place, words in enumerate(telling_words(groups, _NAME_WORDS), 1):
        name = "-".join(words) or f"cluster-{place}"
        names.append(f"{name}-{place}" if name in names else name)
    return names
