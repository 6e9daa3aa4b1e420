"""Two predictors and a soft gate: adaptive confidence smoothing (Atzmon & Chechik 2019).

One predictor judges the closed-book answer by the prefill, the draft and the question. The other
judges the answer with retrieval by the store and the question. A gate, fitted on their predictions
for rows that neither has seen, predicts which of the two ways is right. Each predictor's
probability is shrunk towards its prior to the degree that the gate favours the other. That is
because a predictor is overconfident outside its field (COSMO, equation 6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import GateModel
from expertrag_retriever.gate.odds import log_odds, logistic


@dataclass(frozen=True, slots=True, eq=False)
class Smoothing(GateModel):
    """Weights [F, 2] and biases [2] of the predictors, the gate's weights [3], the priors [2]."""

    name = "smoothing"
    weights: Matrix
    bias: Matrix
    gate: Matrix
    priors: Matrix

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        raw = logistic(x @ self.weights + self.bias)
        retrieval = logistic(log_odds(raw) @ self.gate[:2] + self.gate[2])[:, None]
        trust = np.concatenate([1.0 - retrieval, retrieval], axis=1)
        predicted: Matrix = trust * raw + (1.0 - trust) * self.priors
        return predicted
