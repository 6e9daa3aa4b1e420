"""What a gate's ranking is worth at every retrieval rate, and whether a target rate is kept.

Legend: N questions, S splits, G groups of equal p(benefit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

TARGETS = (0.1, 0.25, 0.5, 0.75)
SPLITS = 200

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Budget:
    """A target retrieval rate, set on one half of the questions and measured on the other.

    Means over the splits: ``realised`` rate, its 95 % range over the splits, ``violations`` = the
    share of splits that retrieve more often than the target, ``accuracy``.
    """

    target: float
    realised: float
    realised_low: float
    realised_high: float
    violations: float
    accuracy: float


def frontier(
    p_benefit: ArrayLike, never: ArrayLike, always: ArrayLike
) -> tuple[tuple[float, float], ...]:
    """Return (retrieval rate, accuracy) at every threshold, from rate 0 (never) to 1 (always).

    Questions of equal p(benefit) are retrieved together: no threshold parts them.

    :param p_benefit: shape [N].
    :param never: whether each is answered right closed book, shape [N].
    :param always: whether each is answered right with retrieval, shape [N].
    """
    p, closed, opened = _floats(p_benefit, never, always)
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1) + 1  # [G]
    gained = np.cumsum((opened - closed)[order])[ends - 1]  # [G]
    rates = np.append(0.0, ends / len(p))
    accuracies = np.append(closed.sum(), closed.sum() + gained) / len(p)
    return tuple(zip(rates.tolist(), accuracies.tolist(), strict=True))


def area_over_random(points: Sequence[tuple[float, float]]) -> float:
    """Return ∫ (acc_gate(r) - acc_random(r)) dr over the rate r, by trapezoids.

    Random retrieval lies on the line from never to always. 0 is a gate that knows nothing.

    :param points: a whole ``frontier``.
    """
    from sklearn.metrics import auc

    rates, accuracies = np.array(points).T
    line = accuracies[0] + rates * (accuracies[-1] - accuracies[0])
    return float(auc(rates, accuracies - line))


def budget(
    p_benefit: ArrayLike,
    never: ArrayLike,
    always: ArrayLike,
    *,
    seed: int = 0,
) -> tuple[Budget, ...]:
    """Choose the threshold on a random half, apply it to the other half, ``SPLITS`` times.

    The threshold is the lowest whose rate on the first half does not exceed the target, so that
    equal p(benefit) are left out together. Empty for fewer than two questions.
    """
    p, closed, opened = _floats(p_benefit, never, always)
    half = len(p) // 2
    if not half:
        return ()
    rows = np.tile(np.arange(len(p)), (SPLITS, 1))
    drawn = np.random.default_rng(seed).permuted(rows, axis=1)  # [S, N]
    first, second = drawn[:, :half], drawn[:, half:]
    descending = -np.sort(-p[first], axis=1)  # [S, half]
    return tuple(
        _budget(
            target,
            p[second] > descending[:, [_allowed(target, half)]],  # [S, N - half]
            closed[second],
            opened[second],
        )
        for target in TARGETS
    )


def _budget(target: float, retrieved: NDArray[np.bool_], never: _Floats, always: _Floats) -> Budget:
    realised = retrieved.mean(axis=1)  # [S]
    low, high = np.quantile(realised, (0.025, 0.975))
    return Budget(
        target=target,
        realised=float(realised.mean()),
        realised_low=float(low),
        realised_high=float(high),
        violations=float((realised > target).mean()),
        accuracy=float(np.where(retrieved, always, never).mean()),
    )


def _allowed(target: float, questions: int) -> int:
    """How many of ``questions`` may be retrieved; the next one's p(benefit) is the bar to pass."""
    return min(int(target * questions), questions - 1)


def _floats(*arrays: ArrayLike) -> list[_Floats]:
    return [np.asarray(array, float) for array in arrays]
