"""Finds domains in unlabelled texts: clusters, named by their most characteristic words.

N texts, H hidden, W directions of most spread
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import FloatArray
from expertrag_lab.router.clusters import k_means, nearest_means
from expertrag_lab.router.settings import Pool
from expertrag_lab.router.words import telling_words
from expertrag_retriever.errors import RouterError

MOST_CLUSTERS = 12
FEWEST_TEXTS = 20
"""Fewest texts of a cluster; the same as of a domain."""

_DIRECTIONS = 8
"""Principal directions in which texts are compared, each scaled to the same spread.

Normalised mutual information with the six domains of 4,446 texts, in seven clusters: .73 with 8,
.76 with 16, .62 with 32. Unscaled .53, .54, .60, because the first direction then separates long
texts from short ones. Chosen on these texts, as was the 5 % below.
"""

_STARTS = 20  # one in five finds the tightest seven clusters of those texts
_NEAR_BEST = 0.95
_NAME_WORDS = 3


def cluster_texts(
    texts: Sequence[str], pool: Pool, count: int | None = None, seed: int = 0
) -> dict[str, list[str]]:
    """Cluster texts, largest cluster first; each is named by the words that distinguish it.

    Without ``count``, the number of clusters is the smallest from 2 to 12 whose simplified
    silhouette (Hruschka et al. 2004) is within 5 % of the best: more clusters only split texts that
    belong together. Empty and repeated texts are left out.

    :raises RouterError: fewer than two clusters requested, or too few texts for the count.
    """
    distinct = list(dict.fromkeys(text.strip() for text in texts if text.strip()))
    fewest = 2 if count is None else count
    if fewest < 2:
        raise RouterError(f"the number of clusters must be 2 or more; got {count}")
    if len(distinct) < fewest * FEWEST_TEXTS:
        raise RouterError(
            f"{len(distinct)} distinct texts are too few for {fewest} clusters: add some, to have "
            f"at least {FEWEST_TEXTS} per cluster"
        )
    points = _points(pool(distinct))
    nearest = (
        _best_count(points, seed) if count is None else k_means(points, count, seed, _STARTS)[1]
    )
    order = np.argsort(-np.bincount(nearest), kind="stable")
    groups = [[distinct[row] for row in np.flatnonzero(nearest == label)] for label in order]
    return dict(zip(_names(groups), groups, strict=True))


def _points(pooled: FloatArray) -> FloatArray:
    """Normalise mean hidden states (N, H) to unit length, and project them: (N, W)."""
    unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    centered = (unit - unit.mean(axis=0)).astype(np.float64)
    vectors = np.linalg.eigh(centered.T @ centered)[1][:, ::-1]
    points = centered @ vectors[:, :_DIRECTIONS]
    scaled: FloatArray = (points / np.maximum(points.std(axis=0), 1e-9)).astype(np.float32)
    return scaled


def _best_count(points: FloatArray, seed: int) -> NDArray[np.int64]:
    scores = []
    for count in range(2, min(MOST_CLUSTERS, len(points) // FEWEST_TEXTS) + 1):
        means, nearest = k_means(points, count, seed, _STARTS)
        if len(means) > 1 and np.bincount(nearest).min() >= FEWEST_TEXTS:
            scores.append((_silhouette(points, means), nearest))
    if not scores:
        raise RouterError(
            "the texts do not form clusters of 20 or more: add texts, or label them by domain"
        )
    best = max(score for score, _ in scores)
    return next(nearest for score, nearest in scores if score >= min(best, _NEAR_BEST * best))


def _silhouette(points: FloatArray, means: FloatArray) -> float:
    """Mean of (b - a) / b: a is the distance to the nearest mean, b to the next nearest."""
    own, other = np.sqrt(nearest_means(points, means, 2)[0]).T
    return float(((other - own) / np.maximum(other, 1e-12)).mean())


def _names(groups: Sequence[Sequence[str]]) -> list[str]:
    """Name each group by its most characteristic words; number unnamed and duplicate names."""
    names: list[str] = []
    for place, words in enumerate(telling_words(groups, _NAME_WORDS), 1):
        name = "-".join(words) or f"cluster-{place}"
        names.append(f"{name}-{place}" if name in names else name)
    return names
