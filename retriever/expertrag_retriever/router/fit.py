"""Training a router: prototypes, a shared covariance, a temperature and a reach. Takes seconds.

N texts, H hidden, W whitened, P prototypes
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from expertrag_index.types import FloatArray
from expertrag_retriever.errors import RetrieverError
from expertrag_retriever.router.router import Router

FEWEST_TEXTS = 20
"""Of a domain, to say what it is like; with fewer the domain would be whatever those are about."""

_PROTOTYPES = 4  # of a domain; 1, 2, 4 and 8 were compared
_TEXTS_EACH = 25  # at least, on average, of a prototype
_HELD_OUT = 0.25
_SHRINKAGE = 0.1
_DIMENSIONS = 128
_REACH_QUANTILE = 0.98  # of held-out texts of the domains lie within reach
_ROUNDS = 25
_TEMPERATURES = np.geomspace(0.05, 20.0, 121)
"""Of squared distances per dimension."""

Pool = Callable[[Sequence[str]], FloatArray]
"""Mean hidden states (N, H) of texts where the experts begin."""


class RouterError(RetrieverError, ValueError):
    """Texts that no router can be trained on."""


@dataclass(frozen=True, slots=True)
class RouterFigures:
    """How a router does on texts that it was not trained on.

    ``accuracy`` of the most likely domain, ``ece`` of its probability, ``known``: the share that is
    taken for one of the domains at all.
    """

    accuracy: float
    ece: float
    known: float
    texts: int


def fit_router(
    texts: Mapping[str, Sequence[str]], pool: Pool, seed: int = 0
) -> tuple[Router, RouterFigures]:
    """Train on texts by domain; a quarter of them is held out to calibrate and measure.

    :raises RouterError: fewer than two domains, or a domain of too few different texts.
    """
    chosen = {name: _distinct(some) for name, some in texts.items()}
    _check(chosen)
    labels = np.repeat(np.arange(len(chosen)), [len(some) for some in chosen.values()])
    pooled = pool([text for some in chosen.values() for text in some])
    held_out = _held_out(labels, seed)
    router = _fit(tuple(chosen), pooled[~held_out], labels[~held_out], seed)
    router = _calibrated(router, pooled[held_out], labels[held_out])
    return router, measure(router, pooled[held_out], labels[held_out])


def measure(router: Router, pooled: FloatArray, labels: NDArray[np.int64]) -> RouterFigures:
    """Score a router on labelled texts: (N, H) and (N,) indexes of domains."""
    posterior = router.posterior(torch.from_numpy(pooled)).numpy()[:, :-1]
    known = posterior.sum(axis=1)
    conditional = posterior / np.maximum(known, 1e-9)[:, None]
    best, sure = conditional.argmax(axis=1), conditional.max(axis=1)
    right = best == labels
    return RouterFigures(
        accuracy=float(right.mean()),
        ece=_ece(sure, right),
        known=float((known >= 0.5).mean()),
        texts=len(labels),
    )


def _distinct(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(text for text in texts if text.strip()))


def _check(texts: Mapping[str, Sequence[str]]) -> None:
    if len(texts) < 2:
        raise RouterError("a router needs two domains at least; give texts of another one")
    for name, some in texts.items():
        if len(some) < FEWEST_TEXTS:
            raise RouterError(
                f"domain {name} has {len(some)} different texts; a router needs {FEWEST_TEXTS} "
                "of each: add some, or leave the domain to the general expert"
            )


def _held_out(labels: NDArray[np.int64], seed: int) -> NDArray[np.bool_]:
    """Hold out the same share of each domain."""
    mask = np.zeros(len(labels), bool)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        mask[rows[: max(1, int(_HELD_OUT * len(rows)))]] = True
    return mask


def _fit(
    domains: tuple[str, ...], pooled: FloatArray, labels: NDArray[np.int64], seed: int
) -> Router:
    center = pooled.mean(axis=0)
    whitener = _whitener(pooled - center, labels)
    whitened = (pooled - center) @ whitener  # [N, W]
    prototypes, shares, owners = [], [], []
    for label in range(len(domains)):
        own = whitened[labels == label]
        count = max(1, min(_PROTOTYPES, len(own) // _TEXTS_EACH))
        means, sizes = cluster(own, count, seed)
        prototypes.append(means)
        shares.append(np.log(sizes / sizes.sum()))
        owners.append(np.full(len(means), label))
    return Router(
        domains=domains,
        center=torch.from_numpy(center).float(),
        whitener=torch.from_numpy(whitener).float(),
        prototypes=torch.from_numpy(np.concatenate(prototypes)).float(),
        log_share=torch.from_numpy(np.concatenate(shares)).float(),
        owner=torch.from_numpy(np.concatenate(owners)).long(),
        temperature=1.0,
        reach=float("inf"),
        slope=1.0,
    )


def _whitener(centered: FloatArray, labels: NDArray[np.int64]) -> FloatArray:
    """(H, W) whitening of the covariance within domains, shrunk towards a sphere.

    The directions kept are those in which domains differ most for their spread.
    """
    within = centered.copy()
    for label in np.unique(labels):
        within[labels == label] -= within[labels == label].mean(axis=0)
    covariance = np.cov(within, rowvar=False)
    size = len(covariance)
    sphere = np.trace(covariance) / size * np.eye(size)
    values, vectors = np.linalg.eigh((1 - _SHRINKAGE) * covariance + _SHRINKAGE * sphere)
    whitener = vectors / np.sqrt(values)  # [H, H]
    total = np.linalg.svd(centered @ whitener, full_matrices=False)[2]  # [min(N, H), H]
    kept: FloatArray = (whitener @ total[:_DIMENSIONS].T).astype(np.float32)
    return kept


def cluster(points: FloatArray, count: int, seed: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Means (count, W) and sizes of the clusters of points (N, W), by k-means.

    The first means are points far apart from each other (k-means++, Arthur & Vassilvitskii 2007).
    """
    rng = random.Random(seed)
    means = points[[rng.randrange(len(points))]]
    while len(means) < count:
        gaps = np.square(points[:, None] - means[None]).sum(axis=2).min(axis=1)
        if not gaps.any():
            break
        means = np.vstack([means, points[rng.choices(range(len(points)), gaps.tolist())[0]]])
    for _ in range(_ROUNDS):
        nearest = np.square(points[:, None] - means[None]).sum(axis=2).argmin(axis=1)
        means = np.stack(
            [
                points[nearest == i].mean(axis=0) if (nearest == i).any() else means[i]
                for i in range(len(means))
            ]
        )
    sizes = np.bincount(nearest, minlength=len(means))
    return means[sizes > 0].astype(np.float32), sizes[sizes > 0]


def _calibrated(router: Router, pooled: FloatArray, labels: NDArray[np.int64]) -> Router:
    """Set the temperature by likelihood, and the reach by how far held-out texts lie."""
    from dataclasses import replace

    features = torch.from_numpy(pooled)
    rows = torch.arange(len(labels))
    truth = torch.from_numpy(labels)

    def loss(temperature: float) -> float:
        posterior = replace(router, temperature=temperature).posterior(features)
        return float(-posterior[rows, truth].clamp(min=1e-12).log().mean())

    temperature = min((float(value) for value in _TEMPERATURES), key=loss)
    nearest = router.distances(features).amin(dim=1).numpy()
    reach = float(np.quantile(nearest, _REACH_QUANTILE))
    spread = max(float(nearest.std()), 1e-6)
    return replace(router, temperature=temperature, reach=reach + spread, slope=4.0 / spread)


def _ece(confidence: FloatArray, right: NDArray[np.bool_], bins: int = 10) -> float:
    """Expected calibration error (Guo et al. 2017, equation 3)."""
    slots = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        abs(right[slots == i].mean() - confidence[slots == i].mean()) * (slots == i).sum()
        for i in range(bins)
        if (slots == i).any()
    ]
    return float(sum(gaps) / len(right))
