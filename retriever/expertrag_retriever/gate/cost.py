"""Measures, while answering, what consulting the documents costs on this machine."""

from __future__ import annotations

import threading

FEWEST = 5
"""Answers needed with and without retrieval before a cost is known."""

_MEMORY = 100  # answers that a mean remembers, so that it follows the load of the machine

STALE = 200
"""After this many answers in a row of one kind, the measurement of the other is discarded."""


class MarginalCost:
    """Mean extra seconds of an open-book answer compared with a closed-book one.

    Thread-safe. The gate's own time is spent in both cases and does not count. If one kind of
    answer no longer occurs, its measurement expires. A threshold that excludes it must not depend
    forever on what it cost on a bad day.
    """

    def __init__(self) -> None:
        """Start without measurements."""
        self._lock = threading.Lock()
        self._counts = [0, 0]
        self._means = [0.0, 0.0]
        self._unseen = [0, 0]

    def observe(self, seconds: float, *, retrieved: bool) -> None:
        """Record an answer.

        :param seconds: its time after the gate had decided.
        """
        with self._lock:
            way, other = int(retrieved), int(not retrieved)
            self._unseen[way] = 0
            self._unseen[other] += 1
            if self._unseen[other] >= STALE:
                self._counts[other] = 0
            self._counts[way] += 1
            weight = 1 / min(self._counts[way], _MEMORY)
            self._means[way] += weight * (seconds - self._means[way])

    @property
    def seconds(self) -> float | None:
        """The difference; None until both kinds of answer have been measured often enough."""
        with self._lock:
            if min(self._counts) < FEWEST:
                return None
            return self._means[1] - self._means[0]
