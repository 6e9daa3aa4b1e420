"""Assignments to clusters of one size cost the least possible."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from expertrag_lab.surgery.splitting.balanced_assignment import balance


def _cost(costs: np.ndarray, cluster: np.ndarray) -> float:
    return float(costs[np.arange(len(costs)), cluster].sum())


def test_the_cost_is_the_least_of_all_ways() -> None:
    costs = np.random.default_rng(0).random((6, 3))
    ways = [
        _cost(costs, np.array(way))
        for way in itertools.product(range(3), repeat=6)
        if all(way.count(own) == 2 for own in range(3))
    ]
    found = balance(costs, 2)
    assert np.bincount(found).tolist() == [2, 2, 2]
    assert _cost(costs, found) == pytest.approx(min(ways))


@pytest.mark.parametrize(
    ("count", "size", "kind"),
    [
        (2, 1, "random"),
        (5, 7, "random"),
        (12, 30, "random"),
        (12, 30, "whole numbers"),  # many are equal, as distances between zeros and ones
        (4, 20, "one for all"),  # all items want the same cluster, the others are empty at first
        (3, 9, "equal"),
        (1, 4, "random"),
    ],
)
def test_the_cost_is_that_of_a_linear_assignment(count: int, size: int, kind: str) -> None:
    random = np.random.default_rng(count)
    costs = random.random((count * size, count)) * 100
    if kind == "whole numbers":
        costs = costs.round(-1)
    elif kind == "one for all":
        costs[:, 1] = 0.0
    elif kind == "equal":
        costs[:] = 3.0
    found = balance(costs, size)
    _, columns = linear_sum_assignment(np.repeat(costs, size, axis=1))
    assert np.bincount(found, minlength=count).tolist() == [size] * count
    assert _cost(costs, found) == pytest.approx(_cost(costs, columns // size))
