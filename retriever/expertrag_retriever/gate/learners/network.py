"""A small multi-layer perceptron with one output for each way of answering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import Arrays, GateModel, Rows
from expertrag_retriever.gate.odds import logistic

_EPOCHS = 200


@dataclass(frozen=True, slots=True, eq=False)
class Perceptron(GateModel):
    """One layer of U rectified units: ``first`` [F, U] and [U], ``second`` [U, 2] and [2]."""

    name = "mlp"
    first: Matrix
    first_bias: Matrix
    second: Matrix
    second_bias: Matrix

    @classmethod
    def fit(cls, rows: Rows, seed: int, **settings: Any) -> Self:
        """Fit with Adam until a tenth of the rows, held out, gets no better.

        ``units``: U; ``penalty``: of the squared weights.
        """
        from sklearn.neural_network import MLPClassifier

        fitted = MLPClassifier(
            hidden_layer_sizes=(settings["units"],),
            alpha=settings["penalty"],
            early_stopping=True,
            max_iter=_EPOCHS,
            random_state=seed,
        ).fit(rows.x, rows.right.astype(int))
        (first, second), (first_bias, second_bias) = fitted.coefs_, fitted.intercepts_
        return cls(first, first_bias, second, second_bias)

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        hidden = np.maximum(x @ self.first + self.first_bias, 0.0)
        return logistic(hidden @ self.second + self.second_bias)

    def dump(self) -> Arrays:
        """Return the state."""
        return {name: getattr(self, name) for name in _STATE}

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(*(arrays[name].astype(float) for name in _STATE))


_STATE = ("first", "first_bias", "second", "second_bias")
