"""Intervals and tests against values computed by hand; results are never NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest

from expertrag_lab.metrics.stats import adjust, compare, difference, estimate
from expertrag_lab.metrics.types import Comparison, Estimate


def comparison(p_t: float, p_fisher: float = 1.0) -> Comparison:
    return Comparison("m", "a", "b", 9, 0.0, 0.0, 0.0, p_t, p_fisher, p_t, p_fisher)


def test_the_interval_of_a_share_matches_the_normal_approximation() -> None:
    found = estimate([0.0, 1.0] * 200)
    assert (found.mean, found.n) == (0.5, 400)
    # 1.96 · sqrt(.5 · .5 / 400) = .049
    assert found.low == pytest.approx(0.451, abs=0.006)
    assert found.high == pytest.approx(0.549, abs=0.006)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(3).random(50).tolist()
    assert estimate(values, seed=5) == estimate(values, seed=5)
    assert estimate(values, seed=5) != estimate(values, seed=6)
    assert estimate(values) == estimate(values, seed=0)


@pytest.mark.parametrize("values", [[0.25], [0.1, 0.1, 0.1], [0.0] * 7, [0.1 + 0.2, 0.3]])
def test_constant_values_have_an_interval_of_zero_width(values: list[float]) -> None:
    found = estimate(values)
    assert found == Estimate(found.mean, found.mean, found.mean, len(values))
    assert found.mean == pytest.approx(values[0])


def test_a_difference_is_b_minus_a() -> None:
    found = difference([0.0, 0.5, 1.0], [1.0, 1.0, 1.0])
    assert (found.mean, found.n) == (0.5, 3)
    assert 0.0 <= found.low < 0.5 < found.high <= 1.0


def test_empty_or_unequal_lists_raise_value_error() -> None:
    with pytest.raises(ValueError, match="nothing to estimate"):
        estimate([])
    with pytest.raises(ValueError, match="shorter"):
        difference([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="nothing to estimate"):
        compare("m", "a", [], "b", [])


def test_paired_t_of_four_differences() -> None:
    found = compare("nDCG@10", "a", [1.0, 1.0, 1.0, 1.0], "b", [2.0, 3.0, 4.0, 5.0])
    assert (found.metric, found.a, found.b, found.n) == ("nDCG@10", "a", "b", 4)
    assert found.difference == 2.5
    # mean 2.5, standard deviation 1.29099, t = 3.87298 with 3 degrees of freedom, whose
    # distribution function is 1/2 + (x / (1 + x²) + atan x) / π for x = t / √3
    x = 2.5 / (1.2909944487 / 2) / math.sqrt(3)
    assert found.p_t == pytest.approx(1 - 2 * (x / (1 + x * x) + math.atan(x)) / math.pi)
    assert found.p_t == pytest.approx(0.030466, abs=1e-6)
    assert (found.p_t_holm, found.p_fisher_holm) == (found.p_t, found.p_fisher)


@pytest.mark.parametrize(
    ("b", "p_value"),
    [
        ([1.0, 2.0, 3.0, 4.0], 2 / 16),  # only all or no signs flipped reach |10|
        ([3.0, 1.0, -1.0, 2.0], 6 / 16),  # |sum| of 5 or more: none flipped, or one of the ones
        ([0.1, 0.1, 0.1], 2 / 8),
        ([1.0, -1.0], 1.0),
    ],
)
def test_fisher_counts_all_sign_flips_of_few_queries(b: list[float], p_value: float) -> None:
    assert compare("m", "a", [0.0] * len(b), "b", b).p_fisher == pytest.approx(p_value)


def test_fisher_of_many_queries_agrees_with_the_t_test() -> None:
    rng = np.random.default_rng(1)
    a = rng.random(200)
    b = a + rng.normal(0.02, 0.2, 200)
    found = compare("m", "a", a.tolist(), "b", b.tolist())
    assert found.p_fisher == pytest.approx(found.p_t, abs=0.015)
    assert found == compare("m", "a", a.tolist(), "b", b.tolist())
    backwards = compare("m", "b", b.tolist(), "a", a.tolist())
    assert backwards.p_t == pytest.approx(found.p_t)
    assert backwards.difference == pytest.approx(-found.difference)


@pytest.mark.parametrize(
    ("a", "b", "p_t", "p_fisher"),
    [
        ([0.2, 0.7], [0.2, 0.7], 1.0, 1.0),
        ([0.2], [0.9], 1.0, 1.0),
        ([0.0, 0.0, 0.0], [0.1, 0.1, 0.1], 0.0, 0.25),  # without variance t is infinite
    ],
)
def test_degenerate_pairs_have_p_values(
    a: list[float], b: list[float], p_t: float, p_fisher: float
) -> None:
    found = compare("m", "a", a, "b", b)
    assert found.p_t == p_t
    assert found.p_fisher == pytest.approx(p_fisher)


def test_holm_adjusts_by_size_and_keeps_the_given_order() -> None:
    found = adjust([comparison(p) for p in (0.01, 0.04, 0.03, 0.005)])
    # .005 · 4, .01 · 3, .03 · 2, and .04 · 1, which may not be below the one before
    assert [item.p_t_holm for item in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [item.p_t for item in found] == [0.01, 0.04, 0.03, 0.005]
    assert [item.p_fisher_holm for item in found] == [1.0] * 4


def test_holm_adjusts_both_tests_separately() -> None:
    (first, second) = adjust([comparison(0.01, 0.5), comparison(0.02, 0.001)])
    assert (first.p_t_holm, second.p_t_holm) == (0.02, 0.02)
    assert (first.p_fisher_holm, second.p_fisher_holm) == (0.5, 0.002)
    assert adjust([]) == ()
