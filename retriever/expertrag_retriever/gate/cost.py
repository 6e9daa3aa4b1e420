"""What consulting the documents costs here, measured while answers are given."""

from __future__ import annotations

import threading

FEWEST = 5
"""Answers of each way before a cost is known."""

_MEMORY = 100  # answers that weigh in a mean, so that a busier machine shows

STALE = 200
"""Answers of one way in a row after which what is known of the other is forgotten."""


class MarginalCost:
    """Mean seconds that an answer from the documents takes longer than a closed-book one.

    Thread-safe. What the gate itself needs is spent either way and does not count. A way that is
    no longer taken is unknown again after a while: a threshold that shuts it out must not rest on
    what it cost on a bad day.
    """

    def __init__(self) -> None:
        """Begin without a measurement."""
        self._lock = threading.Lock()
        self._counts = [0, 0]
        self._means = [0.0, 0.0]
        self._unseen = [0, 0]

    def observe(self, seconds: float, *, retrieved: bool) -> None:
        """Count an answer.

        :param seconds: what it took after the gate had decided.
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
        """The difference; None until both ways have been taken often enough."""
        with self._lock:
            if min(self._counts) < FEWEST:
                return None
            return self._means[1] - self._means[0]
