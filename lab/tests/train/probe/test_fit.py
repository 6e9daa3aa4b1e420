"""The fit finds the informative direction; probabilities assume a quarter without an answer."""

from __future__ import annotations

import numpy as np
import pytest

from expertrag_lab.reliability import ece
from expertrag_lab.train.probe.fit import UNANSWERED, fit

_WIDTH = 40


def _rows(
    count: int, seed: int, strength: float = 2.0
) -> tuple[np.ndarray, list[bool], list[str], list[str]]:
    """Draw states with one informative direction, in three sets with different offsets."""
    rng = np.random.default_rng(seed)
    lacking = rng.random(count) < 0.5
    states = rng.normal(size=(count, _WIDTH))
    states[:, 0] += strength * lacking
    sets = [f"set{number % 3}" for number in range(count)]
    states[:, 1] += [3.0 * int(name[-1]) for name in sets]
    groups = [f"group{number // 6}" for number in range(count)]
    return (5 * states + 1).astype(np.float32), lacking.tolist(), groups, sets


@pytest.mark.parametrize("single", [False, True])
def test_it_finds_the_informative_direction(single: bool) -> None:
    states, lacking, groups, sets = _rows(900, 0)
    found = fit(states, lacking, groups, ["one"] * 900 if single else sets)
    unseen, other, *_ = _rows(900, 1)
    odds = unseen @ found.weights + found.bias
    reported = np.array(other)
    assert np.mean(odds[reported][:, None] > odds[~reported][None, :]) > 0.9
    assert np.abs(found.weights).argmax() == 0


def test_probabilities_are_calibrated_for_a_quarter_without_an_answer() -> None:
    states, lacking, groups, sets = _rows(3000, 2)
    found = fit(states, lacking, groups, sets)
    unseen, other, *_ = _rows(6000, 3)
    lacks = np.array(other)
    keep = ~lacks | (np.random.default_rng(4).random(6000) < UNANSWERED / (1 - UNANSWERED))
    reported = 1 / (1 + np.exp(-(unseen[keep] @ found.weights + found.bias)))
    assert reported.mean() == pytest.approx(lacks[keep].mean(), abs=0.03)
    assert ece(reported.tolist(), lacks[keep].tolist()) < 0.05


def test_uninformative_states_give_the_prior() -> None:
    states, lacking, groups, sets = _rows(900, 5, strength=0.0)
    found = fit(states, lacking, groups, sets)
    reported = 1 / (1 + np.exp(-(states @ found.weights + found.bias)))
    assert np.abs(reported - UNANSWERED).mean() < 0.1


def test_out_of_fold_odds_come_from_fits_without_the_rows_set() -> None:
    """A set whose rows contradict the others gets wrong predictions."""
    states, lacking, groups, _ = _rows(900, 6)
    inside = np.arange(900) % 5 == 4
    sets = [f"set{number % 5}" for number in range(900)]
    turned = (np.array(lacking) ^ inside).tolist()
    found = fit(states, turned, groups, sets)
    reported = np.array(turned)[inside]
    odds = found.unseen[inside]
    assert np.mean(odds[reported][:, None] > odds[~reported][None, :]) < 0.3


def test_contradicting_sets_give_the_prior() -> None:
    states, lacking, groups, _ = _rows(600, 7)
    sets = [f"set{number % 2}" for number in range(600)]
    turned = (np.array(lacking) ^ (np.arange(600) % 2 == 1)).tolist()
    found = fit(states, turned, groups, sets)
    assert not found.weights.any()
    assert found.bias == pytest.approx(np.log(UNANSWERED / (1 - UNANSWERED)))
