"""Choosing, fitting and calibrating a gate."""

from __future__ import annotations

import numpy as np
import pytest
from retriever.gate.conftest import Planted, planted
from sklearn.metrics import roc_auc_score

from expertrag_lab.reliability import ece
from expertrag_lab.train.gate.predictor import (
    Candidate,
    _rank,
    fit_predictor,
    folds_of,
    predict_nested,
)
from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.signals import Signals

QUICK = ("logistic", "neighbours")


def test_recovers_and_calibrates_the_planted_benefit() -> None:
    rows = planted(1500)
    fitted = fit_predictor(rows.signals, rows.right, models=QUICK)
    fresh = planted(1500, seed=2)
    said = fitted.predictor.predict(fresh.signals)
    assert roc_auc_score(fresh.benefit, said.benefit) > 0.7
    for predicted, true in (
        (said.closed, fresh.right[:, 0]),
        (said.retrieval, fresh.right[:, 1]),
        (said.benefit, fresh.benefit),
    ):
        assert ece(predicted.tolist(), true.tolist()) < 0.06


def test_the_best_model_is_the_first_candidate(rows: Planted) -> None:
    fitted = fit_predictor(rows.signals, rows.right, models=QUICK)
    losses = [item.loss for item in fitted.candidates]
    assert losses == sorted(losses)
    assert fitted.predictor.model.name == fitted.candidates[0].name
    assert {item.name for item in fitted.candidates} == set(QUICK)


def test_a_mixture_near_the_best_is_preferred() -> None:
    def of(name: str, loss: float) -> Candidate:
        return Candidate(name, {}, loss, np.zeros((1, 2)))

    near, far = (
        [of("kernel", 0.8), of("mixture", loss), of("logistic", 0.9)] for loss in (0.85, 0.95)
    )
    assert [item.name for item in _rank(near, 100)] == ["mixture", "kernel", "logistic"]
    assert [item.name for item in _rank(far, 100)] == ["kernel", "logistic", "mixture"]


def test_a_fit_is_the_same_twice(rows: Planted) -> None:
    first, second = (
        fit_predictor(rows.signals, rows.right, models=("kernel",), seed=3) for _ in range(2)
    )
    assert np.array_equal(first.predicted.benefit, second.predicted.benefit)


def test_nested_predictions_use_only_unseen_rows() -> None:
    """The rows are pure noise: a model that had seen them would find a benefit."""
    rng = np.random.default_rng(0)
    signals = [
        Signals({"question_words": float(rng.normal()), "margin": float(rng.normal())})
        for _ in range(400)
    ]
    right = rng.uniform(size=(400, 2)) < 0.5
    said = predict_nested(signals, right, models=("neighbours", "smoothing"))
    benefit = right[:, 1] & ~right[:, 0]
    assert 0.4 < roc_auc_score(benefit, said.benefit) < 0.6


def test_the_outcomes_are_spread_over_the_folds(rows: Planted) -> None:
    fold = folds_of(rows.right, 4, seed=0)
    shares = [rows.benefit[fold == number].mean() for number in range(4)]
    assert max(shares) - min(shares) < 0.02
    assert np.bincount(fold).tolist() == [100] * 4


def test_too_few_rows(rows: Planted) -> None:
    with pytest.raises(GateError, match="20 rows are too few to fit a gate on; give at least 50"):
        fit_predictor(rows.signals[:20], rows.right[:20])


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (0, True, "too few rows on which the closed-book answer is wrong: 0 of 400"),
        (0, False, "too few rows on which the closed-book answer is right: 0 of 400"),
        (1, False, "too few rows on which the answer with retrieval is right: 0 of 400"),
    ],
)
def test_rejects_rows_of_one_outcome(rows: Planted, column: int, value: bool, message: str) -> None:
    right = rows.right.copy()
    right[:, column] = value
    with pytest.raises(GateError, match=message):
        fit_predictor(rows.signals, right)
