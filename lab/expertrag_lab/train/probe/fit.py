"""Fit the probe: choose the penalty by leave-one-set-out, and calibrate the probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray

PENALTIES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
"""Inverse regularization strengths (``C`` in scikit-learn)."""
UNANSWERED = 0.25
"""Share of unanswerable questions that the probability is calibrated for."""

_FOLDS = 5
_MOST_ITERATIONS = 1000

Odds = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FittedProbe:
    """Weights [2 D] and bias of the log odds that no passage holds the answer.

    ``unseen`` [N]: out-of-fold log odds, from fits that had not seen the row's data set or, with a
    single data set, the row's group.
    """

    weights: FloatArray
    bias: float
    penalty: float
    unseen: Odds


def fit(
    states: FloatArray, lacking: Sequence[bool], groups: Sequence[str], sets: Sequence[str]
) -> FittedProbe:
    """Fit on states [N, 2 D].

    :param lacking: whether no passage holds the answer, [N].
    :param groups: group of each row; a group (prompts over the same passages) is never split
        between folds, [N].
    :param sets: names of the rows' data sets, [N].
    """
    target = np.array(lacking, bool)
    folds = _folds(groups, sets)
    best, unseen = PENALTIES[0], np.zeros(len(target))
    least = np.inf
    for penalty in PENALTIES:
        odds = np.zeros(len(target))
        for number in np.unique(folds):
            inside = folds == number
            weights, bias = _regression(states[~inside], target[~inside], penalty)
            odds[inside] = states[inside] @ weights + bias
        slope, shift = platt(odds, target)
        loss = _loss(slope * odds + shift, target)
        if loss < least:
            best, least, unseen = penalty, loss, odds
    slope, shift = platt(unseen, target)
    weights, bias = _regression(states, target, best)
    return FittedProbe(
        (slope * weights).astype(np.float32), slope * bias + shift, best, slope * unseen + shift
    )


def _folds(groups: Sequence[str], sets: Sequence[str]) -> NDArray[np.int_]:
    """Assign folds: one per data set or, with a single data set, by group."""
    if len(set(sets)) > 1:
        return np.unique(np.array(sets), return_inverse=True)[1]
    return np.unique(np.array(groups), return_inverse=True)[1] % _FOLDS


def _regression(
    states: FloatArray, target: NDArray[np.bool_], penalty: float
) -> tuple[Odds, float]:
    """Fit on standardised states; return weights and bias for the raw states."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = states.mean(0), states.std(0) + 1e-6
    model = LogisticRegression(C=penalty, max_iter=_MOST_ITERATIONS, class_weight="balanced")
    model.fit((states - mean) / spread, target)
    weights: Odds = (model.coef_[0] / spread).astype(np.float64)
    return weights, float(model.intercept_[0] - weights @ mean)


def platt(odds: Odds, target: NDArray[np.bool_]) -> tuple[float, float]:
    """Fit slope and shift of log odds [N] (Platt 1999), for a share of ``UNANSWERED`` lacking.

    If the odds are uninformative, or rank the wrong way round, the slope is 0.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(odds[:, None], target, sample_weight=_shares(target))
    if model.coef_[0, 0] <= 0:
        return 0.0, float(np.log(UNANSWERED / (1 - UNANSWERED)))
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _shares(target: NDArray[np.bool_]) -> Odds:
    shares: Odds = np.where(
        target, UNANSWERED / target.mean(), (1 - UNANSWERED) / (1 - target.mean())
    )
    return shares


def _loss(odds: Odds, target: NDArray[np.bool_]) -> float:
    """Weighted log loss."""
    signed: Odds = np.where(target, odds, -odds)
    return float(np.average(np.logaddexp(0.0, -signed), weights=_shares(target)))
