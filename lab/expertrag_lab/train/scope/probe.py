"""Fit the probe of scopes: a multinomial logistic regression on hidden states."""

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
    from sklearn.linear_model import LogisticRegression

    mean, spread = states.mean(0), states.std(0) + 1e-6
    model = LogisticRegression(C=PENALTY, max_iter=_MOST_ITERATIONS)
    model.fit((states - mean) / spread, [SCOPES.index(scope) for scope in scopes])
    weights = (model.coef_ / spread).astype(np.float32)
    bias = (model.intercept_ - weights @ mean).astype(np.float32)
    return weights, bias
