"""Fits the model of the gate that has two predictors and a soft gate between them.

The gate is fitted on predictions for rows that neither predictor has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from expertrag_lab.train.gate.design import Rows
from expertrag_retriever.gate.design import Design, Matrix
from expertrag_retriever.gate.learners.smoothing import Smoothing
from expertrag_retriever.gate.odds import log_odds, logistic
from expertrag_retriever.gate.signals import SignalGroup

_FOLDS = 3
_FEWEST = 10  # rows on which the two ways differ
_CLOSED, _RETRIEVAL = 0, 1
_FOREIGN = {
    _CLOSED: (SignalGroup.STORE,),
    _RETRIEVAL: (SignalGroup.PREFILL, SignalGroup.DRAFT),
}


def fit_smoothing(rows: Rows, seed: int, **settings: Any) -> Smoothing:
    """Fit predictors and gate. ``strength``: inverse of the predictors' penalty."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = _experts(rows, settings["strength"])
    fold = np.random.default_rng(seed).permutation(len(rows.x)) % _FOLDS
    predicted = np.zeros((len(rows.x), 2))
    for number in range(_FOLDS):
        inside = fold == number
        some_weights, some_bias = _experts(rows.take(~inside), settings["strength"])
        predicted[inside] = logistic(rows.x[inside] @ some_weights + some_bias)
    differ = rows.right[:, _CLOSED] != rows.right[:, _RETRIEVAL]
    gate = np.zeros(3)
    if differ.sum() >= _FEWEST and len(set(rows.right[differ, _RETRIEVAL].tolist())) == 2:
        fitted = LogisticRegression().fit(
            log_odds(predicted[differ]), rows.right[differ, _RETRIEVAL]
        )
        gate = np.append(fitted.coef_[0], fitted.intercept_[0])
    return Smoothing(weights, bias, gate, rows.right.mean(axis=0))


def _experts(rows: Rows, strength: float) -> tuple[Matrix, Matrix]:
    """Fit both predictors, each on its own columns; the others have weight 0."""
    from sklearn.linear_model import LogisticRegression

    weights, bias = np.zeros((rows.x.shape[1], 2)), np.zeros(2)
    for way, foreign in _FOREIGN.items():
        columns = _columns(rows.design, foreign)
        fitted = LogisticRegression(C=strength, max_iter=300).fit(
            rows.x[:, columns], rows.right[:, way]
        )
        weights[columns, way], bias[way] = fitted.coef_[0], fitted.intercept_[0]
    return weights, bias


def _columns(design: Design, foreign: Sequence[SignalGroup]) -> NDArray[np.intp]:
    """Return the columns of all groups that are not foreign; all columns if there are none."""
    every = np.arange(design.columns)
    columns = [every[design.slices[b.name]] for b in design.blocks if b.group not in foreign]
    return np.concatenate(columns) if columns else every
