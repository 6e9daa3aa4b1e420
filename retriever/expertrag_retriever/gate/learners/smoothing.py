"""Two predictors and a soft gate: adaptive confidence smoothing (Atzmon & Chechik 2019).

One predictor judges the closed-book answer by the prefill, the draft and the question. The other
judges the answer with retrieval by the store and the question. A gate, fitted on their predictions
for rows that neither has seen, predicts which of the two ways is right. Each predictor's
probability is shrunk towards its prior to the degree that the gate favours the other. That is
because a predictor is overconfident outside its field (COSMO, equation 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from expertrag_retriever.gate.design import Design, Matrix
from expertrag_retriever.gate.learners.base import Arrays, GateModel, Rows
from expertrag_retriever.gate.odds import log_odds, logistic
from expertrag_retriever.gate.signals import SignalGroup

_FOLDS = 3
_FEWEST = 10  # rows on which the two ways differ
_CLOSED, _RETRIEVAL = 0, 1
_FOREIGN = {
    _CLOSED: (SignalGroup.STORE,),
    _RETRIEVAL: (SignalGroup.PREFILL, SignalGroup.DRAFT),
}


@dataclass(frozen=True, slots=True, eq=False)
class Smoothing(GateModel):
    """Weights [F, 2] and biases [2] of the predictors, the gate's weights [3], the priors [2]."""

    name = "smoothing"
    weights: Matrix
    bias: Matrix
    gate: Matrix
    priors: Matrix

    @classmethod
    def fit(cls, rows: Rows, seed: int, **settings: Any) -> Self:
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
        return cls(weights, bias, gate, rows.right.mean(axis=0))

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        raw = logistic(x @ self.weights + self.bias)
        retrieval = logistic(log_odds(raw) @ self.gate[:2] + self.gate[2])[:, None]
        trust = np.concatenate([1.0 - retrieval, retrieval], axis=1)
        predicted: Matrix = trust * raw + (1.0 - trust) * self.priors
        return predicted

    def dump(self) -> Arrays:
        """Return the state."""
        return {name: getattr(self, name) for name in _STATE}

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(*(arrays[name].astype(float) for name in _STATE))


_STATE = ("weights", "bias", "gate", "priors")


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
