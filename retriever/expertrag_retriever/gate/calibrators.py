"""Calibration: maps a model's scores to probabilities that match the observed frequencies.

Every map is strictly increasing, so it never changes the order of two queries. Maps are fitted on
predictions for rows that the model had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.odds import log_odds, logistic

SMOOTH = ("platt", "temperature")
KINDS = (*SMOOTH, "isotonic")

_LEAST = 1e-6
_SLOPE = 1e-3  # least slope, where isotonic regression is flat
_STRENGTH = 100.0  # inverse penalty of the two-parameter regressions, which hardly need one
_FEWEST_ISOTONIC = 300  # steps fitted on fewer outcomes are noise (Niculescu-Mizil & Caruana 2005)


@dataclass(frozen=True, slots=True)
class Calibrator:
    """Piecewise linear map through increasing points (log odds, probability).

    ``kind`` is the method that fitted them: ``platt`` (Platt 1999: a logistic curve),
    ``temperature`` (Guo et al. 2017: the same without a shift), ``isotonic`` (Zadrozny & Elkan
    2002).
    """

    kind: str
    odds: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __call__(self, probabilities: Matrix) -> Matrix:
        """Calibrate probabilities [N]."""
        return np.interp(log_odds(probabilities), self.odds, self.probabilities)


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


def dump_calibrator(calibrator: Calibrator) -> Mapping[str, Any]:
    """Return a calibrator as JSON."""
    return {
        "kind": calibrator.kind,
        "odds": list(calibrator.odds),
        "probabilities": list(calibrator.probabilities),
    }


def load_calibrator(stored: Mapping[str, Any]) -> Calibrator:
    """Read what :func:`dump_calibrator` returned."""
    return Calibrator(stored["kind"], tuple(stored["odds"]), tuple(stored["probabilities"]))


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
