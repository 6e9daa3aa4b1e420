"""Fits the judge of passages: logistic regression, its penalty chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from expertrag_lab.train.gate.design import fit_design
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.design import Matrix
from expertrag_retriever.gate.signals import SignalGroup, Signals
from expertrag_retriever.gate.sufficiency import Sufficiency

FEWEST = 40
"""Fewest rows with, and fewest without, sufficient passages for a fit."""

_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)  # inverse, as scikit-learn has it
_FOLDS = 5
_MOST_ITERATIONS = 500


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

    design = fit_design(rows, (SignalGroup.EVIDENCE,))
    fitted = LogisticRegression(C=penalty, max_iter=_MOST_ITERATIONS).fit(
        design.matrix(rows), target
    )
    return Sufficiency(design, fitted.coef_[0], float(fitted.intercept_[0]))
