"""Fits a gate: chooses a model by cross-validation, then calibrates on held-out predictions.

All figures of a fitted gate come from predictions for rows that the model had not seen.

Legend: N rows, 2 ways of answering (closed book, with retrieval).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_index.types import Progress
from expertrag_lab.train.gate.calibrators import fit_calibration
from expertrag_lab.train.gate.design import GATE_GROUPS, Rows, fit_design
from expertrag_lab.train.gate.learners import FITTERS, GRID, MIXED
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.predictor import Predictions, Predictor, gain_of
from expertrag_retriever.gate.signals import SignalGroup, Signals

FEWEST_ROWS = 50
FEWEST_OF_A_KIND = 8
"""Fewest rows on which each way of answering is right, is wrong, and only retrieval is right."""

FOLDS = 4
"""Folds of the cross-validation that chooses a model."""
OUTER_FOLDS = 5
"""Folds of the nested cross-validation, each predicted by a gate fitted on the others."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A model with its best settings; ``loss`` is 1 - the correlation of its gain with the truth.

    ``predicted`` [N, 2] are its probabilities for rows that it had not seen.
    """

    name: str
    settings: Mapping[str, Any]
    loss: float
    predicted: Matrix


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """The chosen predictor, and every candidate, the chosen one first.

    ``predicted``: predictions for rows that the model had not seen, but the calibration had. For
    fully unseen predictions use nested cross-validation (:func:`predict_nested`).
    """

    predictor: Predictor
    candidates: tuple[Candidate, ...]
    predicted: Predictions


def fit_predictor(
    signals: Sequence[Signals],
    right: NDArray[np.bool_],
    *,
    groups: Sequence[SignalGroup] = GATE_GROUPS,
    models: Sequence[str] = tuple(GRID),
    seed: int = 0,
    progress: Progress | None = None,
) -> Fitted:
    """Choose and fit a model.

    :param right: whether the closed-book answer and the one with retrieval were right, [N, 2].
    :param groups: groups of signals that may be used.
    :param models: models that may be chosen.
    :raises GateError: too few rows, or nothing to learn from them.
    """
    check_rows(right)
    return _fit(signals, right, groups, models, seed, progress)


def _fit(
    signals: Sequence[Signals],
    right: NDArray[np.bool_],
    groups: Sequence[SignalGroup],
    models: Sequence[str],
    seed: int,
    progress: Progress | None,
) -> Fitted:
    """Fit on rows, or on part of them, that were checked as a whole."""
    from threadpoolctl import threadpool_limits

    # The matrices are small: more threads only wait for each other, and sum in another order.
    with threadpool_limits(1):
        design = fit_design(signals, groups)
        rows = Rows(design.matrix(signals), right, design)
        fold = folds_of(right, FOLDS, seed)
        candidates = _rank(_candidates(rows, fold, models, seed, progress), len(right))
        best = candidates[0]
        model = FITTERS[best.name](rows, seed, **best.settings)
        calibration = fit_calibration(best.predicted, right, seed)
    return Fitted(
        Predictor(design, model, calibration), tuple(candidates), calibration(best.predicted)
    )


def predict_nested(
    signals: Sequence[Signals],
    right: NDArray[np.bool_],
    *,
    groups: Sequence[SignalGroup] = GATE_GROUPS,
    models: Sequence[str] = tuple(GRID),
    seed: int = 0,
    progress: Progress | None = None,
) -> Predictions:
    """Predict every row with a gate fitted without its fold: nested cross-validation.

    :raises GateError: as :func:`fit_predictor` does.
    """
    predicted = np.zeros((3, len(right)))
    for inside, fitted in cross_fit(
        signals, right, groups=groups, models=models, seed=seed, progress=progress
    ):
        predictions = fitted.predictor.predict(_select(signals, inside))
        predicted[:, inside] = predictions.closed, predictions.retrieval, predictions.benefit
    return Predictions(*predicted)


def cross_fit(
    signals: Sequence[Signals],
    right: NDArray[np.bool_],
    *,
    groups: Sequence[SignalGroup],
    models: Sequence[str],
    seed: int = 0,
    progress: Progress | None = None,
) -> Iterator[tuple[NDArray[np.bool_], Fitted]]:
    """Yield the rows of each fold, a mask [N], and a gate fitted on all other rows.

    :raises GateError: as :func:`fit_predictor` does.
    """
    check_rows(right)
    fold = folds_of(right, OUTER_FOLDS, seed)
    for number in range(OUTER_FOLDS):
        if progress:
            progress("nested cross-validation", number, OUTER_FOLDS)
        inside = fold == number
        yield (
            inside,
            _fit(_select(signals, ~inside), right[~inside], groups, models, seed, None),
        )
    if progress:
        progress("nested cross-validation", OUTER_FOLDS, OUTER_FOLDS)


def _select(signals: Sequence[Signals], mask: NDArray[np.bool_]) -> list[Signals]:
    return [row for row, chosen in zip(signals, mask, strict=True) if chosen]


def folds_of(right: NDArray[np.bool_], folds: int, seed: int) -> NDArray[np.intp]:
    """Assign rows to folds, [N]; the four outcomes are spread evenly over the folds."""
    order = np.random.default_rng(seed).permutation(len(right))
    by_outcome = order[np.argsort(right[order] @ (1, 2), kind="stable")]
    fold = np.empty(len(right), np.intp)
    fold[by_outcome] = np.arange(len(right)) % folds
    return fold


def check_rows(right: NDArray[np.bool_]) -> None:
    """Check that there are enough rows of every kind.

    :raises GateError: there are not.
    """
    if len(right) < FEWEST_ROWS:
        raise GateError(
            f"{len(right)} rows are too few to fit a gate on; give at least {FEWEST_ROWS}, better "
            "several hundred ('expertrag eval record' makes them)"
        )
    closed, retrieval = right.T
    kinds = {
        "on which the closed-book answer is right": closed,
        "on which the closed-book answer is wrong": ~closed,
        "on which the answer with retrieval is right": retrieval,
        "on which the answer with retrieval is wrong": ~retrieval,
        "on which only the answer with retrieval is right": retrieval & ~closed,
    }
    for kind, rows in kinds.items():
        if rows.sum() < FEWEST_OF_A_KIND:
            raise GateError(
                f"too few rows {kind}: {rows.sum()} of {len(right)}; give rows with at least "
                f"{FEWEST_OF_A_KIND}"
            )


def _candidates(
    rows: Rows,
    fold: NDArray[np.intp],
    models: Sequence[str],
    seed: int,
    progress: Progress | None,
) -> list[Candidate]:
    names = [*models, *(MIXED if "mixture" in models else ())]
    single = [name for name in dict.fromkeys(names) if name != "mixture"]
    trials = [(name, settings) for name in single for settings in GRID[name]]
    best: dict[str, Candidate] = {}
    for done, (name, settings) in enumerate(trials):
        if progress:
            progress(f"cross-validation: {name}", done, len(trials))
        tried = _cross_validate(name, settings, rows, fold, seed)
        if name not in best or tried.loss < best[name].loss:
            best[name] = tried
    if progress:
        progress("cross-validation", len(trials), len(trials))
    if "mixture" in models:
        members = [best[name] for name in MIXED]
        predicted = np.mean([member.predicted for member in members], axis=0)
        settings = {member.name: member.settings for member in members}
        best["mixture"] = Candidate("mixture", settings, _loss(predicted, rows), predicted)
    return [best[name] for name in models]


def _rank(candidates: Sequence[Candidate], rows: int) -> list[Candidate]:
    """Order by loss, but put a mixture within one standard error of the best first.

    Which single model comes out best is largely chance; the mean of several depends less on it.
    """
    ranked = sorted(candidates, key=lambda candidate: candidate.loss)
    error = 1.0 / np.sqrt(rows)  # of a correlation near 0
    near = [item for item in ranked if item.loss <= ranked[0].loss + error]
    preferred = [item for item in near if item.name == "mixture"]
    return preferred + [item for item in ranked if item not in preferred]


def _cross_validate(
    name: str, settings: Mapping[str, Any], rows: Rows, fold: NDArray[np.intp], seed: int
) -> Candidate:
    predicted = np.zeros(rows.right.shape)
    for number in range(int(fold.max()) + 1):
        inside = fold == number
        model = FITTERS[name](rows.take(~inside), seed, **settings)
        predicted[inside] = model.predict(rows.x[inside])
    return Candidate(name, settings, _loss(predicted, rows), predicted)


def _loss(predicted: Matrix, rows: Rows) -> float:
    """Return 1 - the correlation of the predicted gain with the true one.

    Unlike a squared error, it does not penalise what calibration corrects. The raw probabilities of
    a model with a strong penalty are all near the mean, yet may rank best.
    """
    gain = gain_of(predicted)
    if np.ptp(gain) == 0:
        return 1.0
    truth = rows.right[:, 1].astype(float) - rows.right[:, 0]
    return 1.0 - float(np.corrcoef(gain, truth)[0, 1])
