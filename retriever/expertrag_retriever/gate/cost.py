"""What consulting the documents costs here, measured while answers are given."""

from __future__ import annotations

import threading

FEWEST = 5
"""Answers of each way before a cost is known."""

_MEMORY = 100  # answers that the mean reaches back to, so that a busier machine shows


class MarginalCost:
    """Mean seconds that an answer from the documents takes longer than a closed-book one.

    Thread-safe. What the gate itself needs is spent either way and does not count.
    """

    def __init__(self) -> None:
        """Begin without a measurement."""
        self._lock = threading.Lock()
        self._counts = [0, 0]
        self._means = [0.0, 0.0]

    def observe(self, seconds: float, *, retrieved: bool) -> None:
        """Count an answer.

        :param seconds: what it took after the gate had decided.
        """
        with self._lock:
            way = int(retrieved)
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
