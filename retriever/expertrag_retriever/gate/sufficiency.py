"""The calibrated probability that the retrieved passages suffice to answer.

The literature calls this sufficient context (Joren et al. 2025). It is predicted from how the
passages relate to the question, before any answer is generated. The predictor is a logistic
regression with an L2 penalty chosen by cross-validation. The question's wording is not used. In a
trial on squad2's train questions it recognised answerable ones in the training articles, but hardly
any in others.

Legend: N rows, F columns of the design.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from expertrag_retriever.gate.design import Design, Matrix
from expertrag_retriever.gate.odds import logistic
from expertrag_retriever.gate.signals import Signals

SUFFICIENT = 0.5
"""Least probability at which passages count as sufficient: more likely than not."""


@dataclass(frozen=True, slots=True, eq=False)
class Sufficiency:
    """A fitted model: the columns of signals, weights [F] and bias."""

    design: Design
    weights: Matrix
    bias: float

    def probability(self, rows: Sequence[Signals]) -> Matrix:
        """Return p(sufficient) [N]; a missing signal is set to its mean."""
        return logistic(self.design.matrix(rows) @ self.weights + self.bias)

    def dump(self) -> tuple[list[dict[str, Any]], dict[str, Matrix]]:
        """Return the blocks of the design as JSON and the arrays by name."""
        blocks, arrays = self.design.dump()
        return blocks, {**arrays, "weights": self.weights, "bias": np.array([self.bias])}

    @classmethod
    def load(cls, blocks: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]) -> Sufficiency:
        """Read what :meth:`dump` returned."""
        return cls(Design.load(blocks, arrays), arrays["weights"], float(arrays["bias"][0]))
