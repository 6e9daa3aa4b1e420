"""Trains a router: prototypes, a shared covariance, a temperature and a reach. Takes seconds.

N texts, H hidden, W whitened, P prototypes
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from expertrag_index.types import FloatArray
from expertrag_lab.router.clusters import k_means
from expertrag_lab.router.evidence import gather
from expertrag_lab.router.measure import figures
from expertrag_lab.router.settings import Pool, RouterSettings
from expertrag_retriever.errors import RouterError
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.router.router import DomainRouter
from expertrag_retriever.router.types import RouterFigures

__all__ = ["FEWEST_TEXTS", "RouterError", "RouterFigures", "fit_router"]

FEWEST_TEXTS = 20
"""Fewest texts of a domain; fewer would define the domain by whatever they happen to be about."""

_TEXTS_EACH = 25  # fewest texts per prototype, on average
_FOLDS = 4
_REACH_QUANTILE = 0.95
"""Share of the domains' held-out texts within reach; half the texts of a left-out domain are not.
"""
_TEMPERATURES = np.geomspace(0.001, 20.0, 161)
"""Candidate temperatures, for squared distances per dimension."""

Labels = NDArray[np.int64]


def fit_router(
    texts: Mapping[str, Sequence[str]],
    pool: Pool,
    seed: int = 0,
    settings: RouterSettings | None = None,
) -> tuple[DomainRouter, RouterFigures]:
    """Train on texts by domain; the same texts and seed give the same router.

    The router is trained on all texts. It is calibrated and measured by 4-fold cross-validation:
    four more routers each predict the quarter of the texts that they were not trained on.

    Empty texts, repeated texts and texts that occur in two domains are ignored.

    :raises RouterError: fewer than two domains, or one that has too few texts or is called
        "general".
    """
    chosen = usable_texts(texts)
    labels = np.repeat(np.arange(len(chosen)), [len(some) for some in chosen.values()])
    flat = [text for some in chosen.values() for text in some]
    pooled = pool(flat)
    if not np.isfinite(pooled).all():
        raise RouterError(
            "the base model returns non-finite states for some texts: use another base model"
        )
    router, held_out = fit_pooled(tuple(chosen), pooled, labels, seed, settings or RouterSettings())
    evidence = gather(chosen, _nearest_own(router, pooled, labels), router.owner.tolist())
    return replace(router, evidence=evidence), held_out


def fit_pooled(
    domains: tuple[str, ...],
    pooled: FloatArray,
    labels: Labels,
    seed: int,
    settings: RouterSettings,
) -> tuple[DomainRouter, RouterFigures]:
    """Train on mean hidden states (N, H) and indexes of domains (N,); see :func:`fit_router`."""
    folds = _folds(labels, seed)
    held_out = []
    for fold in range(_FOLDS):
        rest = folds != fold
        trained = _fit(domains, pooled[rest], labels[rest], seed, settings)
        held_out.append((trained, torch.from_numpy(pooled[~rest]), labels[~rest]))
    temperature = _temperature(held_out)
    reach, slope = _reach(held_out)

    def calibrate(router: DomainRouter) -> DomainRouter:
        return replace(router, temperature=temperature, reach=reach, slope=slope)

    posterior = np.concatenate([calibrate(each).posterior(x).numpy() for each, x, _ in held_out])
    truth = np.concatenate([some for _, _, some in held_out])
    router = calibrate(_fit(domains, pooled, labels, seed, settings))
    return router, figures(posterior, truth)


def usable_texts(texts: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Deduplicate the texts, and drop those that occur in several domains.

    :raises RouterError: as :func:`fit_router`.
    """
    cleaned = {
        name: dict.fromkeys(text.strip() for text in some if text.strip())
        for name, some in texts.items()
    }
    claims = Counter(text for some in cleaned.values() for text in some)
    usable = {name: [text for text in some if claims[text] == 1] for name, some in cleaned.items()}
    _check(usable)
    return usable


def _check(texts: Mapping[str, Sequence[str]]) -> None:
    if len(texts) < 2:
        raise RouterError("a router needs at least two domains: add texts of another one")
    for name, some in texts.items():
        if not name.strip() or name == GENERAL:
            raise RouterError(
                f"a domain cannot be called {name!r}: choose a name that is not blank and not "
                f"{GENERAL!r}, the base model"
            )
        if len(some) < FEWEST_TEXTS:
            raise RouterError(
                f"domain {name} has {len(some)} distinct texts that no other domain has; a router "
                f"needs {FEWEST_TEXTS} per domain: add some, or leave the domain out"
            )


def _nearest_own(router: DomainRouter, pooled: FloatArray, labels: Labels) -> Labels:
    """Nearest prototype (N,) of each text among its own domain's."""
    distance = router.distances(torch.from_numpy(pooled))
    foreign = router.owner != torch.from_numpy(labels).unsqueeze(1)
    nearest: Labels = distance.masked_fill(foreign, float("inf")).argmin(dim=1).numpy()
    return nearest


def _folds(labels: Labels, seed: int) -> Labels:
    """Distribute the texts of each domain evenly over the folds."""
    folds = np.empty(len(labels), dtype=np.int64)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        folds[rows] = np.arange(len(rows)) % _FOLDS
    return folds


def _fit(
    domains: tuple[str, ...],
    pooled: FloatArray,
    labels: Labels,
    seed: int,
    settings: RouterSettings,
) -> DomainRouter:
    unit = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
    center = unit.mean(axis=0)
    whitener = _whitener(unit - center, labels, settings)
    whitened = (unit - center) @ whitener  # [N, W]
    prototypes, shares, owners = [], [], []
    for label in range(len(domains)):
        own = whitened[labels == label]
        count = max(1, min(settings.prototypes, len(own) // _TEXTS_EACH))
        means, nearest = k_means(own, count, seed)
        prototypes.append(means)
        shares.append(np.log(np.bincount(nearest) / len(own)))
        owners.append(np.full(len(means), label))
    return DomainRouter(
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


def _whitener(centered: FloatArray, labels: Labels, settings: RouterSettings) -> FloatArray:
    """Whitening (H, W) of the within-domain covariance, shrunk towards a sphere.

    Keeps the directions of most total variance after whitening. Within domains all directions then
    have the same variance, so these are the directions in which the domains differ.
    """
    within = centered.copy()
    for label in np.unique(labels):
        within[labels == label] -= within[labels == label].mean(axis=0)
    covariance = np.cov(within, rowvar=False, dtype=np.float64)
    size = len(covariance)
    sphere = np.trace(covariance) / size * np.eye(size)
    share = settings.shrinkage
    values, vectors = np.linalg.eigh((1 - share) * covariance + share * sphere)
    whitener = vectors / np.sqrt(np.maximum(values, 1e-12))  # [H, H]
    whitened = centered @ whitener
    total = np.linalg.eigh(whitened.T @ whitened)[1][:, ::-1]  # [H, H], most spread first
    kept: FloatArray = (whitener @ total[:, : settings.dimensions]).astype(np.float32)
    return kept


HeldOut = Sequence[tuple[DomainRouter, torch.Tensor, Labels]]
"""Routers, each with the mean hidden states and domains of texts that it was not trained on."""


def _temperature(held_out: HeldOut) -> float:
    """Return the temperature with the highest likelihood."""

    def loss(temperature: float) -> float:
        total = 0.0
        for router, pooled, labels in held_out:
            posterior = replace(router, temperature=temperature).posterior(pooled)
            right = posterior[torch.arange(len(labels)), torch.from_numpy(labels)]
            total -= float(right.clamp(min=1e-12).log().sum())
        return total

    return min((float(value) for value in _TEMPERATURES), key=loss)


def _reach(held_out: HeldOut) -> tuple[float, float]:
    """Return reach and slope: where p(no domain) is one half, and how fast it rises there."""
    nearest = np.concatenate(
        [router.distances(pooled).amin(dim=1).numpy() for router, pooled, _ in held_out]
    )
    spread = max(float(nearest.std()), 1e-6)
    return float(np.quantile(nearest, _REACH_QUANTILE)), 4.0 / spread
