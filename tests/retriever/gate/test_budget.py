"""The retrieval rate that is promised."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_retriever.gate.budget import (
    NOTHING,
    STEP,
    RateController,
    guaranteed_count,
    guaranteed_threshold,
    nominal_count,
)


@pytest.mark.parametrize("target", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("rows", [60, 400])
def test_the_promise_holds_as_often_as_it_says(target: float, rows: int) -> None:
    rng = np.random.default_rng(0)
    rates = [  # scores are uniform, so that a threshold has the rate 1 - threshold
        1.0 - min(guaranteed_threshold(rng.uniform(size=rows).tolist(), target), 1.0)
        for _ in range(1000)
    ]
    broken = np.mean(np.array(rates) > target)
    assert broken <= 0.1 + 0.03  # three standard errors of 1,000 trials
    if target == 0.5:
        assert broken > 0.04  # and it is not wider than it has to be


@given(
    rows=st.integers(1, 3000),
    target=st.floats(0.01, 0.99),
    max_violation=st.floats(0.01, 0.5),
)
def test_the_margin_is_never_wider_than_that_of_dkw(
    rows: int, target: float, max_violation: float
) -> None:
    count = guaranteed_count(rows, target, max_violation)
    slack = np.sqrt(np.log(1 / max_violation) / (2 * rows))
    assert (count or 0) + 1 >= nominal_count(rows, max(target - slack, 0.0))


def test_equal_scores_are_left_out_together() -> None:
    assert guaranteed_threshold([0.5] * 100, 0.3) > 0.5
    assert guaranteed_threshold([0.5] * 60 + [0.9] * 40, 0.6) > 0.5


def test_the_ends() -> None:
    assert guaranteed_threshold([], 0.3) == NOTHING > 1.0
    assert guaranteed_threshold([0.5, 0.6], 0.3) == NOTHING
    assert guaranteed_threshold([0.5] * 100, 0.0) == NOTHING
    assert guaranteed_threshold([0.5] * 100, 1.0) == 0.0


def _run(controller: RateController, scores: np.ndarray) -> float:
    retrieved = 0
    for score in scores.tolist():
        yes = score >= controller.threshold
        controller.observe(retrieved=yes)
        retrieved += yes
    return retrieved / len(scores)


@pytest.mark.parametrize("target", [0.0, 0.1, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(
    "stream",
    [
        np.full(5000, 0.99),  # every question suddenly needs retrieval
        np.full(5000, 0.01),
        np.random.default_rng(0).uniform(size=5000),
        np.concatenate([np.linspace(0, 1, 2500), np.linspace(1, 0, 2500)]),
    ],
    ids=["all-high", "all-low", "uniform", "drift"],
)
@pytest.mark.parametrize("known", [(), tuple(np.linspace(0.05, 0.4, 200).tolist())])
def test_a_stream_holds_the_rate(target: float, stream: np.ndarray, known: list[float]) -> None:
    controller = RateController(target, known, start=guaranteed_threshold(known, target))
    assert abs(_run(controller, stream) - target) <= (1 + STEP) / (STEP * len(stream)) + 1e-9


def test_a_steady_stream_begins_at_the_right_threshold() -> None:
    known = np.random.default_rng(0).beta(2, 6, 2000)
    start = guaranteed_threshold(known.tolist(), 0.3)
    controller = RateController(0.3, known.tolist(), start=start)
    rate = _run(controller, np.random.default_rng(1).beta(2, 6, 300))
    assert rate == pytest.approx(0.3, abs=0.06)


def test_threads() -> None:
    controller = RateController(0.5, start=0.5)

    def work() -> None:
        for _ in range(2000):
            controller.observe(retrieved=False)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert controller.threshold == 0.0
    for _ in range(8000):
        controller.observe(retrieved=True)
    assert controller.threshold == pytest.approx(0.5, abs=1e-6)
