"""Log odds and their inverse."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expertrag_retriever.gate.odds import log_odds, logistic


@given(st.floats(0.001, 0.999))
def test_one_is_the_inverse_of_the_other(p: float) -> None:
    assert logistic(log_odds(p)) == pytest.approx(p)


@pytest.mark.parametrize(
    ("p", "odds"), [(0.5, 0.0), (0.75, math.log(3)), (0.0, -13.8155), (1.0, 13.8155)]
)
def test_log_odds_are_finite(p: float, odds: float) -> None:
    assert float(log_odds(p)) == pytest.approx(odds, abs=1e-3)


def test_logistic_does_not_overflow() -> None:
    with np.errstate(all="raise"):
        low, high = logistic([-1e6, 1e6])
    assert 0 <= low < 1e-20
    assert high == 1.0


def test_arrays_keep_their_shape() -> None:
    assert log_odds([[0.1, 0.9]]).shape == logistic([[1.0, 2.0]]).shape == (1, 2)
