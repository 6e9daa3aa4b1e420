"""Repeats a transfer until it is told to stop; failures make it wait longer."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

_LONGEST_WAIT_S = 60.0


def repeat(
    step: Callable[[], None],
    stop: threading.Event,
    every_s: float,
    failed: Callable[[Exception, float], None],
) -> None:
    """Run ``step`` until ``stop`` is set.

    :param every_s: seconds between two steps; after failures twice as many each time, to a minute.
    :param failed: told of an error, and the seconds until the next try.
    """
    failures = 0
    while not stop.is_set():
        wait = every_s
        try:
            step()
            failures = 0
        except Exception as error:  # each file system raises its own; the next try may succeed
            if stop.is_set():
                return
            failures += 1
            wait = max(every_s, min(_LONGEST_WAIT_S, every_s * 2 ** min(failures, 16)))
            wait *= random.uniform(0.8, 1.2)  # readers of one URL do not all come at once
            failed(error, wait)
        stop.wait(wait)
