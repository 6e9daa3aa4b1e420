"""How losses of changed mixtures differ, over domains of equal weight, with intervals over prompts.

D domains, N_d prompts of a domain
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_lab.metrics.stats import BOOTSTRAP_RESAMPLES, resample_ratios
from expertrag_lab.metrics.types import Estimate

_EDGES = (0.025, 0.975)

Losses = Mapping[str, NDArray[np.float64]]
"""By domain, the loss of each prompt (N_d,): nats, summed over its tokens."""


def rise(full: Losses, before: Losses, after: Losses, *, seed: int = 0) -> Estimate:
    """Return the mean over domains of (after - before) / full, each summed over prompts.

    The 95 % percentile bootstrap interval resamples the prompts of each domain.

    :param full: losses of the full model; ``before`` may be these as well.
    :raises ValueError: there is no prompt.
    """
    mean, draws = _risen(full, before, after, seed)
    low, high = np.quantile(draws, _EDGES).tolist()
    return Estimate(mean, low, high, sum(map(len, full.values())))


def closed(full: Losses, before: Losses, after: Losses, *, seed: int = 0) -> Estimate:
    """Return which share of the rise from full to before is gone after, with its interval.

    :raises ValueError: there is no prompt.
    """
    (gap, gaps), (left, lefts) = (_risen(full, full, side, seed) for side in (before, after))
    low, high = np.quantile(1 - lefts / gaps, _EDGES).tolist()
    return Estimate(1 - left / gap, low, high, sum(map(len, full.values())))


def _risen(
    full: Losses, before: Losses, after: Losses, seed: int
) -> tuple[float, NDArray[np.float64]]:
    """Return the rise, and that of each resample; a seed draws the same prompts every time."""
    if not full or not all(len(values) for values in full.values()):
        raise ValueError("nothing to compare")
    rng = np.random.default_rng(seed)
    means, draws = [], np.zeros(BOOTSTRAP_RESAMPLES)
    for domain, base in full.items():
        pairs = np.stack([after[domain] - before[domain], base], 1)  # [N_d, 2]
        sums = pairs.sum(0)
        means.append(float(sums[0] / sums[1]))
        draws += resample_ratios(pairs, rng) / len(full)
    return sum(means) / len(means), draws


def by_domain(full: Losses, after: Losses) -> dict[str, float]:
    """Return how much the loss of each domain rises, relative to the full model."""
    return {name: float(after[name].sum() / values.sum()) - 1.0 for name, values in full.items()}


def mean_of(models: Sequence[Losses]) -> Losses:
    """Return the mean losses of several models on the same prompts.

    :raises ValueError: there is no model.
    """
    if not models:
        raise ValueError("no model")
    return {name: np.mean([item[name] for item in models], axis=0) for name in models[0]}


def own(models: Mapping[str, Losses]) -> Losses:
    """Return the losses on each domain of the model that was made for it.

    :param models: by the domain that each was made for; domains without losses are left out.
    """
    return {domain: losses[domain] for domain, losses in models.items() if domain in losses}


def others(models: Mapping[str, Losses]) -> Losses:
    """Return the mean losses on each domain of the models that were made for another one."""
    return {
        domain: np.mean([its[domain] for name, its in models.items() if name != domain], axis=0)
        for domain in own(models)
    }
