"""Evidence of each block of signals, combined by Dempster's rule.

Each block of signals gives evidence e ≥ 0 for K = 4 outcomes (none right, closed book alone,
retrieval alone, both). They are the parameters e + 1 of a Dirichlet distribution. Belief is e / S
and uncertainty K / S with S = Σ e + K. Blocks are combined by the reduced Dempster rule of trusted
multi-view classification (Han et al. 2021, equations 2 to 5). The remaining uncertainty is
distributed over the outcomes by their share in the rows (the base rates of subjective logic). So a
query unlike all others is treated like the average query.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.learners.base import GateModel

OUTCOMES = 4
_MOST_LOGIT = 30.0  # limits the evidence; softplus is linear there


@dataclass(frozen=True, slots=True, eq=False)
class Evidential(GateModel):
    """Weights [F, K], biases [B, K], base rates [K]; ``starts`` [B + 1] bounds the B blocks."""

    name = "evidential"
    weights: Matrix
    bias: Matrix
    rates: Matrix
    starts: Matrix

    def predict(self, x: Matrix) -> Matrix:
        """Return p(right) [N, 2]."""
        belief, uncertainty = self._opinion(x)
        outcomes = belief + uncertainty * self.rates
        closed = outcomes[:, 1] + outcomes[:, 3]
        retrieval = outcomes[:, 2] + outcomes[:, 3]
        return np.stack([closed, retrieval], axis=1)

    def _opinion(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """Return belief [N, K] and uncertainty [N, 1] of all blocks together."""
        starts = self.starts.astype(int)
        belief, uncertainty = np.zeros((len(x), OUTCOMES)), np.ones((len(x), 1))
        for block, (a, b) in enumerate(itertools.pairwise(starts)):
            logits = x[:, a:b] @ self.weights[a:b] + self.bias[block]
            evidence = np.logaddexp(0.0, np.minimum(logits, _MOST_LOGIT))
            total = evidence.sum(axis=1, keepdims=True) + OUTCOMES
            belief, uncertainty = combine_opinions(
                belief, uncertainty, evidence / total, OUTCOMES / total
            )
        return belief, uncertainty


def combine_opinions(b1: Any, u1: Any, b2: Any, u2: Any) -> tuple[Any, Any]:
    """Combine two opinions, arrays or tensors: belief [N, K] and uncertainty [N, 1]."""
    conflict = b1.sum(1)[:, None] * b2.sum(1)[:, None] - (b1 * b2).sum(1)[:, None]
    scale = 1.0 / (1.0 - conflict)
    return scale * (b1 * b2 + b1 * u2 + b2 * u1), scale * u1 * u2
