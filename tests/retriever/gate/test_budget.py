"""Thresholds and controllers keep the target retrieval rate."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertrag_retriever.errors import GateError
from expertrag_retriever.gate.budget import (
    FIRST_STEP,
    MAX_DEBT,
    NOTHING,
    STEP,
    RateController,
    RateState,
    count_guaranteed,
    count_nominal,
    guarantee_threshold,
)


@pytest.mark.parametrize("target", [0.05, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("rows", [60, 400])
def test_the_guarantee_holds_with_its_stated_probability(target: float, rows: int) -> None:
    rng = np.random.default_rng(0)
    rates = [  # scores are uniform, so that a threshold has the rate 1 - threshold
        1.0 - min(guarantee_threshold(rng.uniform(size=rows).tolist(), target), 1.0)
        for _ in range(1000)
    ]
    broken = np.mean(np.array(rates) > target)
    assert broken <= 0.1 + 0.03  # three standard errors of 1,000 trials
    if target == 0.5:
        assert broken > 0.04  # and it is not wider than it has to be


@given(rows=st.integers(1, 3000), target=st.floats(0.01, 0.99), max_violation=st.floats(0.01, 0.5))
def test_the_margin_is_never_wider_than_that_of_dkw(
    rows: int, target: float, max_violation: float
) -> None:
    count = count_guaranteed(rows, target, max_violation)
    slack = np.sqrt(np.log(1 / max_violation) / (2 * rows))
    assert (count or 0) + 1 >= count_nominal(rows, max(target - slack, 0.0))


def test_a_threshold_excludes_tied_scores_together() -> None:
    assert guarantee_threshold([0.5] * 100, 0.3) > 0.5
    assert guarantee_threshold([0.5] * 60 + [0.9] * 40, 0.6) > 0.5


def test_extreme_targets() -> None:
    assert guarantee_threshold([], 0.3) == NOTHING > 1.0
    assert guarantee_threshold([0.5, 0.6], 0.3) == NOTHING
    assert guarantee_threshold([0.5] * 100, 0.0) == NOTHING
    assert guarantee_threshold([0.5] * 100, 1.0) == 0.0


def test_the_count_is_that_of_the_beta_distribution() -> None:
    from scipy import stats

    # 59 and 22 rows are the fewest: .95^58 = .051, .95^59 = .048; .9^21 = .109, .9^22 = .098
    few = ((58, 0.05, 0.05), (59, 0.05, 0.05), (21, 0.1, 0.1), (22, 0.1, 0.1))
    for rows, target, most in (*few, (30, 0.2, 0.1), (100, 0.35, 0.1), (999, 0.5, 0.1)):
        ranks = range(1, rows + 1)
        kept = [k for k in ranks if stats.beta.sf(target, k, rows - k + 1) <= most]
        assert count_guaranteed(rows, target, most) == (max(kept) - 1 if kept else None)


@pytest.mark.parametrize("rows", [40, 300])
def test_the_guarantee_holds_with_tied_scores(rows: int) -> None:
    # steps, as isotonic calibration makes them: the rate can only be 0, .1, .3, .6 or 1
    values, shares = (0.9, 0.6, 0.4, 0.1), (0.1, 0.2, 0.3, 0.4)
    rng = np.random.default_rng(1)
    broken = 0
    for _ in range(1000):
        scores = rng.choice(values, size=rows, p=shares)
        bar = guarantee_threshold(scores.tolist(), 0.35)
        rate = sum(share for value, share in zip(values, shares, strict=True) if value >= bar)
        broken += rate > 0.35
    assert broken <= 100 + 30


def _run(controller: RateController, scores: Iterable[float]) -> float:
    """Run a controller on a stream, and check that every prefix is within the bound."""
    retrieved = decided = 0
    known = len(controller._scores)
    first = max(STEP, FIRST_STEP / np.sqrt(known + 1))
    for score in scores:
        yes = score >= controller.threshold
        controller.observe(retrieved=bool(yes))
        retrieved += yes
        decided += 1
        step = max(STEP, FIRST_STEP / np.sqrt(known + decided))
        excess = abs(retrieved - controller.target * decided)
        assert excess <= (1 + first) / step + 1e-6
    state = controller.state
    assert (state.decided, state.retrieved) == (decided, retrieved)
    return float(retrieved / decided)


@pytest.mark.parametrize("target", [0.0, 0.1, 0.3, 0.7, 1.0])
@pytest.mark.parametrize(
    "stream",
    [
        np.full(5000, 0.99),  # every question suddenly needs retrieval
        np.full(5000, 0.01),
        np.full(5000, 1.0),
        np.full(5000, 0.0),
        np.random.default_rng(0).uniform(size=5000),
        np.concatenate([np.linspace(0, 1, 2500), np.linspace(1, 0, 2500)]),
    ],
    ids=["all-high", "all-low", "ones", "zeros", "uniform", "drift"],
)
@pytest.mark.parametrize(
    "known",
    [(), (0.5,), (0.2, 0.2, 0.2), tuple(np.linspace(0.05, 0.4, 200).tolist())],
    ids=["none", "one", "ties", "many"],
)
def test_a_stream_holds_the_rate(
    target: float, stream: np.ndarray, known: tuple[float, ...]
) -> None:
    controller = RateController(target, known, start=guarantee_threshold(known, target))
    rate = _run(controller, stream.tolist())
    assert abs(rate - target) <= (1 + FIRST_STEP) / (STEP * len(stream)) + 1e-9
    if target in (0.0, 1.0):
        assert rate == target


@settings(max_examples=60, deadline=None)
@given(
    target=st.floats(0, 1),
    known=st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.5, 1.0]), max_size=30),
    start=st.floats(0, 1),
    stream=st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=1, max_size=300),
)
def test_any_stream_is_within_the_bound(
    target: float, known: list[float], start: float, stream: list[float]
) -> None:
    _run(RateController(target, known, start=start), stream)


@pytest.mark.parametrize("foe", [lambda bar: min(bar, 1.0), lambda bar: max(bar - 1e-9, 0.0)])
def test_an_adversary_who_knows_the_threshold_stays_within_the_bound(
    foe: Callable[[float], float],
) -> None:
    controller = RateController(0.3)
    _run(controller, (foe(controller.threshold) for _ in range(3000)))


@pytest.mark.parametrize("score", [0.6, 0.9, 0.99])
def test_100_tied_scores_reach_the_target(score: float) -> None:
    rate = _run(RateController(0.3, start=0.5), [score] * 100)
    assert rate == pytest.approx(0.3, abs=0.07)


@pytest.mark.parametrize("at_a_time", [2, 16])
def test_concurrent_decisions_stay_within_the_wider_bound(at_a_time: int) -> None:
    controller, under_way, retrieved = RateController(0.3), deque[bool](), 0
    scores = np.random.default_rng(2).beta(5, 2, 4000)
    for score in scores:
        under_way.append(bool(score >= controller.threshold))
        if len(under_way) == at_a_time:
            controller.observe(retrieved=under_way[0])
            retrieved += under_way.popleft()
    bound = (1 + at_a_time * FIRST_STEP) / (STEP * len(scores))
    assert abs(retrieved / len(scores) - 0.3) <= bound
    assert retrieved / len(scores) == pytest.approx(0.3, abs=0.01)


def test_forced_retrievals_count_and_leave_a_limited_debt() -> None:
    controller = RateController(0.3)
    for _ in range(20):
        controller.observe(retrieved=True)
    assert controller.threshold == NOTHING
    for _ in range(20_000):
        controller.observe(retrieved=True)
    waiting = 0
    while controller.threshold == NOTHING:
        controller.observe(retrieved=False)
        waiting += 1
    assert waiting == pytest.approx(MAX_DEBT / STEP / 0.3, abs=1)


def test_a_restored_controller_continues() -> None:
    scores = np.random.default_rng(3).uniform(size=600).tolist()
    whole, first = RateController(0.3), RateController(0.3)
    _run(first, scores[:250])
    second = RateController(0.3)
    second.restore(RateState.from_json(first.state.to_json()))
    for score in scores[250:]:
        second.observe(retrieved=score >= second.threshold)
    _run(whole, scores)
    assert second.state == whole.state
    assert json.loads(whole.state.to_json())["decided"] == 600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"rank": NaN, "decided": 1, "retrieved": 1}',
        '{"rank": 0.5, "decided": 1, "retrieved": 2}',
        '{"rank": 0.5, "decided": 1e400, "retrieved": 0}',
        '{"rank": 0.5, "decided": null, "retrieved": 0}',
    ],
)
def test_rejects_a_damaged_state(text: str) -> None:
    with pytest.raises(GateError, match="is not a rate controller's state") as caught:
        RateState.from_json(text)
    assert "\n" not in str(caught.value)


def test_a_steady_stream_starts_at_the_right_threshold() -> None:
    known = np.random.default_rng(0).beta(2, 6, 2000)
    start = guarantee_threshold(known.tolist(), 0.3)
    controller = RateController(0.3, known.tolist(), start=start)
    rate = _run(controller, np.random.default_rng(1).beta(2, 6, 300))
    assert rate == pytest.approx(0.3, abs=0.06)


def test_threads() -> None:
    controller = RateController(0.5)

    def work(retrieved: bool) -> None:
        for _ in range(2000):
            controller.observe(retrieved=retrieved)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, (True, False, True, False)))
    assert (controller.state.decided, controller.state.retrieved) == (8000, 4000)
