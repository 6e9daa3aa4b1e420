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

from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.design import Design, Matrix
from expertrag_retriever.gate.odds import logistic
from expertrag_retriever.gate.signals import SignalGroup, Signals

SUFFICIENT = 0.5
"""Least probability at which passages count as sufficient: more likely than not."""

FEWEST = 40
"""Fewest rows with, and fewest without, sufficient passages for a fit."""

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)  # inverse, as scikit-learn has it
_FOLDS = 5
_MOST_ITERATIONS = 500


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


@dataclass(frozen=True, slots=True, eq=False)
class FittedSufficiency:
    """A model, and cross-validated predictions for all rows, [N]."""

    model: Sufficiency
    unseen: Matrix


def enough(sufficient: Sequence[bool]) -> bool:
    """Whether there are enough rows of both kinds to fit on."""
    return min(sum(sufficient), len(sufficient) - sum(sufficient)) >= FEWEST


def fit_sufficiency(
    rows: Sequence[Signals], sufficient: Sequence[bool], seed: int = 0
) -> FittedSufficiency:
    """Fit on the signals of questions and passages.

    :raises GateError: too few rows of a kind.
    """
    from sklearn.metrics import log_loss
    from sklearn.model_selection import StratifiedKFold

    if not enough(sufficient):
        raise GateError(
            f"fitting needs {FEWEST} rows with sufficient passages and {FEWEST} without; there are "
            f"{sum(sufficient)} and {len(sufficient) - sum(sufficient)}: record more rows"
        )
    target = np.array(sufficient, bool)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    unseen = np.zeros((len(_PENALTIES), len(rows)))
    for train, test in folds.split(unseen.T, target):
        train_rows, test_rows = [rows[i] for i in train], [rows[i] for i in test]
        for number, penalty in enumerate(_PENALTIES):
            unseen[number, test] = _fit(train_rows, target[train], penalty).probability(test_rows)
    best = min(range(len(_PENALTIES)), key=lambda number: log_loss(target, unseen[number]))
    return FittedSufficiency(_fit(rows, target, _PENALTIES[best]), unseen[best])


def _fit(rows: Sequence[Signals], target: Matrix, penalty: float) -> Sufficiency:
    from sklearn.linear_model import LogisticRegression

    design = Design.fit(rows, (SignalGroup.EVIDENCE,))
    fitted = LogisticRegression(C=penalty, max_iter=_MOST_ITERATIONS).fit(
        design.matrix(rows), target
    )
    return Sufficiency(design, fitted.coef_[0], float(fitted.intercept_[0]))
