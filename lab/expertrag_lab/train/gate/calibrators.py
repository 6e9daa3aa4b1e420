"""Fits the maps from a model's scores to calibrated probabilities.

Maps are fitted on predictions for rows that the model had not seen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.calibrators import Calibrator
from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.odds import log_odds, logistic
from expertrag_retriever.gate.predictor import Calibration, gain_of

SMOOTH = ("platt", "temperature")
KINDS = (*SMOOTH, "isotonic")

_LEAST = 1e-6
_SLOPE = 1e-3  # least slope, where isotonic regression is flat
_STRENGTH = 100.0  # inverse penalty of the two-parameter regressions, which hardly need one
_FEWEST_ISOTONIC = 300  # steps fitted on fewer outcomes are noise (Niculescu-Mizil & Caruana 2005)


def fit_calibration(raw: Matrix, right: NDArray[np.bool_], seed: int) -> Calibration:
    """Fit on a model's probabilities [N, 2] for rows that it had not seen, and the truth."""
    closed, retrieval = right.T
    return Calibration(
        best_calibrator(raw[:, 0], closed, seed=seed),
        best_calibrator(raw[:, 1], retrieval, seed=seed),
        # not isotonic: its steps would merge queries that the gain ranks
        best_calibrator(gain_of(raw), retrieval & ~closed, kinds=SMOOTH, seed=seed),
    )


def fit_calibrator(kind: str, probabilities: Matrix, outcome: NDArray[np.bool_]) -> Calibrator:
    """Fit a map of one kind to predictions [N] and outcomes [N]."""
    odds = log_odds(probabilities)
    grid = np.linspace(log_odds(np.array(0.0)), log_odds(np.array(1.0)), 1001)
    if kind == "isotonic":
        calibrated = _isotonic(odds, outcome, grid)
    else:
        calibrated = _logistic(odds, outcome, grid, shift=kind == "platt")
    return Calibrator(kind, tuple(grid.tolist()), tuple(calibrated.tolist()))


def best_calibrator(
    probabilities: Matrix,
    outcome: NDArray[np.bool_],
    *,
    kinds: Sequence[str] = KINDS,
    seed: int = 0,
    folds: int = 5,
) -> Calibrator:
    """Choose the kind with the lowest log loss in cross-validation, and fit it on everything."""
    kinds = [kind for kind in kinds if kind != "isotonic" or len(outcome) >= _FEWEST_ISOTONIC]
    fold = np.random.default_rng(seed).permutation(len(outcome)) % folds
    losses = dict.fromkeys(kinds, 0.0)
    for kind in kinds:
        for number in range(folds):
            inside = fold == number
            if len(np.unique(outcome[~inside])) < 2:
                continue
            fitted = fit_calibrator(kind, probabilities[~inside], outcome[~inside])
            losses[kind] += _log_loss(fitted(probabilities[inside]), outcome[inside])
    return fit_calibrator(min(kinds, key=lambda kind: losses[kind]), probabilities, outcome)


def _logistic(odds: Matrix, outcome: NDArray[np.bool_], grid: Matrix, *, shift: bool) -> Matrix:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=_STRENGTH, fit_intercept=shift).fit(odds[:, None], outcome)
    slope, bias = float(fitted.coef_[0, 0]), float(fitted.intercept_[0]) if shift else 0.0
    if slope < _SLOPE:  # a useless model: keep its order, with almost no effect
        slope, bias = _SLOPE, 0.0
        if shift:
            bias = float(log_odds(outcome.mean()) - slope * odds.mean())
    return logistic(slope * grid + bias)


def _isotonic(odds: Matrix, outcome: NDArray[np.bool_], grid: Matrix) -> Matrix:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(odds, outcome)
    level = logistic(grid)
    calibrated: Matrix = (1.0 - _SLOPE) * fitted.predict(grid) + _SLOPE * level
    return calibrated


def _log_loss(probabilities: Matrix, outcome: NDArray[np.bool_]) -> float:
    chosen = np.where(outcome, probabilities, 1.0 - probabilities)
    return float(-np.log(np.clip(chosen, _LEAST, None)).sum())
