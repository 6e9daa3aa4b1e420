"""Maps from scores to probabilities."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_lab.reliability import ece
from expertrag_lab.train.gate.calibrators import KINDS, best_calibrator, fit_calibrator
from expertrag_lab.train.gate.save import dump_calibrator
from expertrag_retriever.gate.calibrators import load_calibrator


def _overconfident(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=rows)
    outcome = rng.uniform(size=rows) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-4 * odds)), outcome  # odds four times too far out


@pytest.mark.parametrize("kind", KINDS)
def test_corrects_overconfidence(kind: str) -> None:
    said, outcome = _overconfident(4000)
    calibrate = fit_calibrator(kind, said, outcome)
    fresh, true = _overconfident(4000, seed=1)
    assert ece(fresh.tolist(), true.tolist()) > 0.15
    assert ece(calibrate(fresh).tolist(), true.tolist()) < 0.03


@pytest.mark.parametrize("kind", KINDS)
@given(low=st.floats(0.001, 0.99), step=st.floats(0.001, 0.5))
def test_calibration_preserves_the_order(kind: str, low: float, step: float) -> None:
    said, outcome = _overconfident(500)
    calibrate = fit_calibrator(kind, said, outcome)
    first, second = calibrate(np.array([low, min(low + step, 0.999)]))
    assert 0.0 <= first <= second <= 1.0
    assert first < second or low + step > 0.999


def test_does_not_invert_a_model_worse_than_chance() -> None:
    said, outcome = _overconfident(1000)
    calibrate = fit_calibrator("platt", 1 - said, outcome)
    low, high = calibrate(np.array([0.1, 0.9]))
    assert low < high
    assert calibrate(1 - said).mean() == pytest.approx(outcome.mean(), abs=0.01)
    rare = outcome & (np.arange(1000) % 5 == 0)
    assert fit_calibrator("platt", 1 - said, rare)(1 - said).mean() == pytest.approx(
        rare.mean(), abs=0.01
    )


def test_does_not_use_isotonic_regression_on_few_outcomes() -> None:
    said, outcome = _overconfident(100)
    assert best_calibrator(said, outcome).kind != "isotonic"


def test_a_round_trip() -> None:
    said, outcome = _overconfident(500)
    calibrate = best_calibrator(said, outcome)
    again = load_calibrator(dump_calibrator(calibrate))
    assert again == calibrate
    assert calibrate(np.array([0.0, 1.0])).min() >= 0.0
