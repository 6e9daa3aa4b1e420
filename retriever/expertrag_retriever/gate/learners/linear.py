"""L2-penalised logistic regression, one for each way of answering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import Arrays, GateModel, Rows
from expertrag_retriever.gate.odds import logistic

_MOST_ITERATIONS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Linear(GateModel):
    """Weights [F, 2] and biases [2]."""

    name = "logistic"
    weights: Matrix
    bias: Matrix

    @classmethod
    def fit(cls, rows: Rows, seed: int, **settings: Any) -> Self:
        """Fit both regressions. ``strength``: inverse of the penalty."""
        from sklearn.linear_model import LogisticRegression

        fitted = [
            LogisticRegression(C=settings["strength"], max_iter=_MOST_ITERATIONS).fit(
                rows.x, target
            )
            for target in rows.right.T
        ]
        return cls(
            np.stack([item.coef_[0] for item in fitted], axis=1),
            np.array([item.intercept_[0] for item in fitted]),
        )

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        return logistic(x @ self.weights + self.bias)

    def dump(self) -> Arrays:
        """Return the state."""
        return {"weights": self.weights, "bias": self.bias}

    @classmethod
    def load(cls, arrays: Arrays) -> Self:
        """Read the state."""
        return cls(arrays["weights"].astype(float), arrays["bias"].astype(float))
