"""Fit the probe of scopes and of calculations: logistic regressions on hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from expertrag.answer.scope import SCOPES
from expertrag_retriever.types import QuestionScope

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray

PENALTY = 0.003
"""Inverse regularization strength (``C`` in scikit-learn); .01 and .03 recognise as many."""

_MOST_ITERATIONS = 400


def fit_probe(states: FloatArray, scopes: Sequence[QuestionScope]) -> tuple[FloatArray, FloatArray]:
    """Fit on standardised states [N, 2 D]; return weights [C, 2 D] and bias [C] of raw states.

    :param scopes: each scope occurs at least once, [N].
    """
    return _fit(states, [SCOPES.index(scope) for scope in scopes])


def fit_calculation(states: FloatArray, calculated: Sequence[bool]) -> tuple[FloatArray, float]:
    """Fit on states [N, 2 D] whether the answer is calculated; return weights [2 D] and bias."""
    weights, bias = _fit(states, list(map(int, calculated)))
    return weights[0], float(bias[0])


def _fit(states: FloatArray, classes: Sequence[int]) -> tuple[FloatArray, FloatArray]:
    """Fit standardised states; return weights and bias of raw ones, one row for two classes."""
    from sklearn.linear_model import LogisticRegression

    mean, spread = states.mean(0), states.std(0) + 1e-6
    model = LogisticRegression(C=PENALTY, max_iter=_MOST_ITERATIONS)
    model.fit((states - mean) / spread, classes)
    weights = (model.coef_ / spread).astype(np.float32)
    bias = (model.intercept_ - weights @ mean).astype(np.float32)
    return weights, bias
