"""Calibration measures against figures computed by hand."""

from __future__ import annotations

import pytest

from expertrag_lab.reliability import Bin, ece, reliability

PREDICTED = [0.0, 0.05, 0.1, 0.15, 0.95, 1.0]
OBSERVED = [False, False, True, False, True, True]
# bins (0, .1]: 0, .05, .1 -> mean .05, observed 1/3; (.1, .2]: .15 -> 0; (.9, 1]: .975 -> 1


def test_reliability_closes_bins_on_the_right_and_leaves_out_empty_ones() -> None:
    lowest, second, highest = reliability(PREDICTED, OBSERVED)
    assert (lowest.low, lowest.high, lowest.n) == (0.0, 0.1, 3)
    assert lowest.predicted == pytest.approx(0.05)
    assert lowest.observed == pytest.approx(1 / 3)
    assert second == Bin(0.1, 0.2, 1, 0.15, 0.0)
    assert (highest.low, highest.high, highest.n, highest.observed) == (0.9, 1.0, 2, 1.0)
    assert highest.predicted == pytest.approx(0.975)


def test_ece_weighs_each_bin_by_its_size() -> None:
    # (3·|1/3 - .05| + 1·|0 - .15| + 2·|1 - .975|) / 6 = (.85 + .15 + .05) / 6
    assert ece(PREDICTED, OBSERVED) == pytest.approx(0.175)
    assert ece([0.0, 1.0], [False, True]) == 0.0
    assert ece([1.0], [False]) == 1.0
    assert ece([0.2, 0.8], [False, True], bins=1) == pytest.approx(0.0)  # .5 predicted, .5 observed
    with pytest.raises(ValueError, match="no predictions"):
        ece([], [])
