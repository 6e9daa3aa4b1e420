"""L2-penalised logistic regression, one for each way of answering."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import GateModel
from expertrag_retriever.gate.odds import logistic


@dataclass(frozen=True, slots=True, eq=False)
class Linear(GateModel):
    """Weights [F, 2] and biases [2]."""

    name = "logistic"
    weights: Matrix
    bias: Matrix

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        return logistic(x @ self.weights + self.bias)
