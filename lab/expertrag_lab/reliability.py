"""Measures how well probabilities are calibrated: reliability diagram and calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Bin:
    """A bar of the reliability diagram: ``n`` predictions in (low, high]; the lowest includes 0.

    ``predicted`` is their mean, ``observed`` the share that came true.
    """

    low: float
    high: float
    n: int
    predicted: float
    observed: float


def reliability(
    predicted: Sequence[float], observed: Sequence[bool], bins: int = 10
) -> tuple[Bin, ...]:
    """Group probabilities into bins of equal width; empty bins are left out.

    :param predicted: probabilities in [0, 1], shape [N].
    :param observed: whether each came true, shape [N].
    """
    values, truth = np.asarray(predicted, float), np.asarray(observed, float)
    edges = np.linspace(0.0, 1.0, bins + 1)
    index = np.searchsorted(edges[1:-1], values)  # [N]
    return tuple(
        Bin(
            low=number / bins,
            high=(number + 1) / bins,
            n=int(inside.sum()),
            predicted=float(values[inside].mean()),
            observed=float(truth[inside].mean()),
        )
        for number in range(bins)
        if (inside := index == number).any()
    )


def ece(predicted: Sequence[float], observed: Sequence[bool], bins: int = 10) -> float:
    """Return the expected calibration error in [0, 1] (Guo et al. 2017, equation 3).

    :raises ValueError: there are no predictions.
    """
    if not len(predicted):
        raise ValueError("no predictions")
    bars = reliability(predicted, observed, bins)
    return sum(bar.n * abs(bar.observed - bar.predicted) for bar in bars) / len(predicted)
