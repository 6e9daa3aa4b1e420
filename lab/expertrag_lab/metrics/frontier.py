"""Accuracy of a gate's ranking at every retrieval rate, and whether target rates are met.

Legend: N questions, S splits, G groups of equal p(benefit).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from expertrag_retriever.gate.budget import count_guaranteed, count_nominal

TARGETS = (0.2, 0.35, 0.5)
SPLITS = 200
TOLERANCE = 0.02
"""Largest excess over a target that is not a violation: halves of some 1,000 rows vary as much."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Budget:
    """A target retrieval rate: threshold set on one half of the questions, tested on the other.

    ``rule``: "nominal", the threshold with that rate on the first half, or "guaranteed"
    (``gate.budget.guaranteed_count``). ``realised`` rate and ``accuracy`` are means over the
    splits, ``realised_low`` and ``realised_high`` the 95 % range of the rate over the splits, and
    ``violations`` the share of splits that exceed the target by more than ``TOLERANCE``.
    """

    target: float
    rule: str
    realised: float
    realised_low: float
    realised_high: float
    violations: float
    accuracy: float


def frontier(
    p_benefit: ArrayLike, never: ArrayLike, always: ArrayLike
) -> tuple[tuple[float, float], ...]:
    """Return (retrieval rate, accuracy) at every threshold, from rate 0 (never) to 1 (always).

    Questions with equal p(benefit) are retrieved together: no threshold separates them.

    :param p_benefit: shape [N].
    :param never: whether the closed-book answer is right, shape [N].
    :param always: whether the answer with retrieval is right, shape [N].
    """
    p, closed, opened = _floats(p_benefit, never, always)
    order = np.argsort(-p, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(p[order])), len(p) - 1) + 1  # [G]
    gained = np.cumsum((opened - closed)[order])[ends - 1]  # [G]
    rates = np.append(0.0, ends / len(p))
    accuracies = np.append(closed.sum(), closed.sum() + gained) / len(p)
    return tuple(zip(rates.tolist(), accuracies.tolist(), strict=True))


def area_over_random(points: Sequence[tuple[float, float]]) -> float:
    """Return ∫ (acc_gate(r) - acc_random(r)) dr over the rate r, by the trapezoidal rule.

    Random retrieval lies on the line from never to always. An uninformative gate has 0.

    :param points: a complete ``frontier``.
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

    Questions tied at the threshold are not retrieved. Empty for fewer than two questions.
    """
    p, closed, opened = _floats(p_benefit, never, always)
    half = len(p) // 2
    if not half:
        return ()
    rows = np.tile(np.arange(len(p)), (SPLITS, 1))
    drawn = np.random.default_rng(seed).permuted(rows, axis=1)  # [S, N]
    first, second = drawn[:, :half], drawn[:, half:]
    descending = -np.sort(-p[first], axis=1)  # [S, half]
    budgets = []
    for target in TARGETS:
        for rule, count in (
            ("nominal", count_nominal(half, target)),
            ("guaranteed", count_guaranteed(half, target)),
        ):
            # p(benefit) must exceed the next question's
            bar = np.inf if count is None else descending[:, [min(count, half - 1)]]
            budgets.append(_budget(target, rule, p[second] > bar, closed[second], opened[second]))
    return tuple(budgets)


def _budget(
    target: float, rule: str, retrieved: NDArray[np.bool_], never: _Floats, always: _Floats
) -> Budget:
    realised = retrieved.mean(axis=1)  # [S]
    low, high = np.quantile(realised, (0.025, 0.975))
    return Budget(
        target=target,
        rule=rule,
        realised=float(realised.mean()),
        realised_low=float(low),
        realised_high=float(high),
        violations=float((realised > target + TOLERANCE).mean()),
        accuracy=float(np.where(retrieved, always, never).mean()),
    )


def _floats(*arrays: ArrayLike) -> list[_Floats]:
    return [np.asarray(array, float) for array in arrays]
