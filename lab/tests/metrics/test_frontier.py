"""The frontier of a gate against figures computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_lab.metrics.frontier import Budget, area_over_random, budget, frontier

NEVER = [True, False, True, False]
ALWAYS = [True, True, False, False]
ROWS = st.lists(
    st.tuples(st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=40,
)


def test_every_threshold_is_a_point() -> None:
    # by p(benefit): the row that gains, one that stays, one that loses, one that stays
    points = frontier([0.6, 0.8, 0.3, 0.1], NEVER, ALWAYS)
    assert points == ((0.0, 0.5), (0.25, 0.75), (0.5, 0.75), (0.75, 0.5), (1.0, 0.5))
    # rows of the same p(benefit) are retrieved together
    points = frontier([0.5, 0.5, 0.5, 0.1], NEVER, ALWAYS)
    assert points == ((0.0, 0.5), (0.75, 0.5), (1.0, 0.5))
    points = frontier([0.5] * 4, NEVER, ALWAYS)
    assert points == ((0.0, 0.5), (1.0, 0.5))
    assert area_over_random(points) == 0.0


def test_area_over_random_uses_the_trapezoidal_rule() -> None:
    # random stays at .5; the gate is above by 0, .25, .25, 0, 0 at rates 0, .25, .5, .75, 1
    points = frontier([0.6, 0.8, 0.3, 0.1], NEVER, ALWAYS)
    assert area_over_random(points) == pytest.approx(0.25 * (0.125 + 0.25 + 0.125))
    # never .25 and always .75: random is .25 + r/2; a gate that finds both gains first is above it
    # by .125, .25, .125 at rates .25, .5, .75
    points = frontier([0.9, 0.8, 0.2, 0.1], [0, 0, 1, 0], [1, 1, 1, 0])
    assert area_over_random(points) == pytest.approx(0.25 * (0.125 + 0.25 + 0.125))


@given(ROWS)
def test_the_ends_are_never_and_always(rows: list[tuple[float, bool, bool]]) -> None:
    p, never, always = zip(*rows, strict=True)
    points = frontier(p, never, always)
    assert points[0] == pytest.approx((0.0, sum(never) / len(rows)))
    assert points[-1] == pytest.approx((1.0, sum(always) / len(rows)))
    rates = [rate for rate, _ in points]
    assert rates == sorted(set(rates))


@given(ROWS)
def test_no_point_beats_the_oracle(rows: list[tuple[float, bool, bool]]) -> None:
    p, never, always = zip(*rows, strict=True)
    oracle = sum(map(max, never, always)) / len(rows)
    assert max(accuracy for _, accuracy in frontier(p, never, always)) <= oracle + 1e-9


def test_a_nominal_threshold_exceeds_the_target_and_a_guaranteed_one_does_not() -> None:
    p = [number / 1000 for number in range(1000)]
    never, always = [False] * 1000, [number >= 800 for number in range(1000)]
    found = budget(p, never, always)
    assert [item.target for item in found] == [0.2, 0.2, 0.35, 0.35, 0.5, 0.5]
    for nominal, guaranteed in zip(found[::2], found[1::2], strict=True):
        assert (nominal.rule, guaranteed.rule) == ("nominal", "guaranteed")
        assert nominal.realised == pytest.approx(nominal.target, abs=0.01)
        assert nominal.realised_low < nominal.target < nominal.realised_high
        assert nominal.violations > 0.1 > guaranteed.violations
        assert nominal.target - 0.05 < guaranteed.realised < nominal.target
    # one of five gains, and these have the highest p: nearly all are found at .2, all above it
    assert 0.17 < found[0].accuracy < 0.2
    assert found[2].accuracy == pytest.approx(0.2, abs=0.001)


@pytest.mark.parametrize("questions", [200, 500])
def test_the_guarantee_holds_on_other_questions(questions: int) -> None:
    # equal p(benefit) among them, as a calibrator makes them
    found: list[Budget] = []
    for seed in range(10):
        p = np.random.default_rng(seed).beta(2, 6, questions).round(2)
        found += budget(p, p < 0.5, p > 0.1, seed=seed)
    by_rule = {
        rule: float(np.mean([item.violations for item in found if item.rule == rule]))
        for rule in ("nominal", "guaranteed")
    }
    assert by_rule["guaranteed"] <= 0.1
    assert by_rule["nominal"] > 2 * by_rule["guaranteed"]


def test_few_questions_guarantee_nothing() -> None:
    # for any target below 1, the one question of the first half does not pass: the bar is its own
    # p. If that is .2, the other one, .8, passes; else none does.
    for item in budget([0.2, 0.8], [False, False], [True, True]):
        if item.rule == "guaranteed":
            assert item.realised == 0.0
        else:
            assert item.realised == item.accuracy == item.violations
            assert 0.4 < item.realised < 0.6
            assert (item.realised_low, item.realised_high) == (0.0, 1.0)


def test_a_constant_gate_cannot_meet_a_budget_and_retrieves_nothing() -> None:
    found = budget([0.5] * 10, [True] * 10, [False] * 10)
    assert {(item.realised, item.violations, item.accuracy) for item in found} == {(0.0, 0.0, 1.0)}


def test_one_question_cannot_be_split() -> None:
    assert budget([0.5], [True], [False]) == ()


def test_the_same_seed_gives_the_same_splits() -> None:
    p = [0.1, 0.4, 0.6, 0.8, 0.9]
    never, always = [True, False, True, False, True], [False, True, True, True, False]
    assert budget(p, never, always, seed=3) == budget(p, never, always, seed=3)
    assert budget(p, never, always, seed=3) != budget(p, never, always, seed=4)
