"""Selective-answering measures against figures computed by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_lab.metrics.calibration import auc, aurc, risk_coverage, thin


def test_auc_counts_pairs_in_order_and_ties_as_half() -> None:
    # pairs (true, false): .9 > .5, .9 > .1, .5 = .5, .5 > .1 -> 3.5 of 4
    assert auc([0.9, 0.5, 0.5, 0.1], [True, True, False, False]) == 0.875


def test_answers_of_one_kind_or_none_have_no_curve() -> None:
    assert auc([0.1, 0.9], [True, True]) is None
    assert auc([0.1, 0.9], [False, False]) is None
    assert auc([], []) is None
    assert aurc([], []) is None
    assert risk_coverage([], []) == ()


def test_risk_coverage_answers_the_most_confident_first() -> None:
    confidence, correct = [0.2, 0.9, 0.5, 0.7], [False, True, True, False]
    # sorted: right, wrong, right, wrong
    coverages, risks = zip(*risk_coverage(confidence, correct), strict=True)
    assert coverages == (0.25, 0.5, 0.75, 1.0)
    assert risks == pytest.approx((0.0, 1 / 2, 1 / 3, 1 / 2))
    assert aurc(confidence, correct) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)


def test_ties_have_the_expected_risk() -> None:
    # the most confident is wrong; half of the two ties is right: risks 1, (1 + .5) / 2, (1 + 1) / 3
    assert aurc([0.5, 0.9, 0.5], [True, False, False]) == pytest.approx((1 + 0.75 + 2 / 3) / 3)
    assert risk_coverage([0.3] * 4, [True, False, False, False])[0] == (0.25, 0.75)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=30
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_input_does_not_matter(
    answers: list[tuple[float, bool]], shuffler: random.Random
) -> None:
    before = aurc([c for c, _ in answers], [r for _, r in answers])
    shuffler.shuffle(answers)
    assert aurc([c for c, _ in answers], [r for _, r in answers]) == pytest.approx(before)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_risk_at_full_coverage_is_the_error_rate(answers: list[tuple[float, bool]]) -> None:
    curve = risk_coverage([c for c, _ in answers], [r for _, r in answers])
    wrong = sum(not right for _, right in answers)
    assert curve[-1] == pytest.approx((1.0, wrong / len(answers)))


def test_thinning_keeps_both_ends_and_even_spacing() -> None:
    assert thin(range(5), most=3) == (0, 2, 4)
    assert thin(range(3), most=3) == (0, 1, 2)
    assert thin([], most=3) == ()
    kept = thin(range(1000))
    assert (len(kept), kept[0], kept[1], kept[-1]) == (101, 0, 10, 999)
