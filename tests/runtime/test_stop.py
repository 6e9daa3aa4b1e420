"""Deadline and cancel."""

from __future__ import annotations

import time

import pytest

from expertrag.api.errors import Cancelled, DeadlineExceeded
from expertrag.runtime.stop import Stop


def test_without_a_deadline_it_never_raises() -> None:
    stop = Stop()
    stop()
    assert stop.remaining() is None


def test_a_deadline_passes() -> None:
    stop = Stop(0.02)
    stop()
    remaining = stop.remaining()
    assert remaining is not None
    assert 0 < remaining <= 0.02
    time.sleep(0.03)
    with pytest.raises(DeadlineExceeded, match=r"not done within 0\.02 s"):
        stop()


def test_a_cancel_wins_over_the_deadline() -> None:
    stop = Stop(0.0)
    stop.cancel()
    stop.cancel()
    with pytest.raises(Cancelled):
        stop()
