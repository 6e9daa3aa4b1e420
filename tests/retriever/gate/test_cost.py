"""The cost of a retrieval, compared with values computed by hand."""

from __future__ import annotations

import pytest

from expertrag_retriever.gate.cost import FEWEST, STALE, MarginalCost


def test_unknown_until_both_ways_were_taken() -> None:
    cost = MarginalCost()
    for _ in range(FEWEST):
        cost.observe(3.0, retrieved=True)
    assert cost.seconds is None
    for seconds in (1.0, 2.0) * FEWEST:
        cost.observe(seconds, retrieved=False)
    assert cost.seconds == pytest.approx(1.5)


def test_the_cost_follows_the_load_of_the_machine() -> None:
    cost = MarginalCost()
    for _ in range(1_000):
        cost.observe(1.0, retrieved=True)
        cost.observe(1.0, retrieved=False)
    assert cost.seconds == pytest.approx(0.0)
    for _ in range(500):
        cost.observe(5.0, retrieved=True)
        cost.observe(1.0, retrieved=False)
    assert cost.seconds == pytest.approx(4.0, abs=0.05)


def test_a_measurement_expires_if_its_way_is_no_longer_taken() -> None:
    cost = MarginalCost()
    for _ in range(FEWEST):
        cost.observe(30.0, retrieved=True)  # on a bad day
        cost.observe(1.0, retrieved=False)
    for _ in range(STALE - 1):  # one has been
        assert cost.seconds == pytest.approx(29.0)
        cost.observe(1.0, retrieved=False)
    assert cost.seconds is None
    for _ in range(FEWEST):
        cost.observe(3.0, retrieved=True)
    assert cost.seconds == pytest.approx(2.0)
