"""Settings of the probe's training data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProbeRecipe:
    """Settings of a training.

    At most ``most_searches`` questions of a data set are searched for. Each gets a number of
    passages drawn from ``passages``, of ``words`` words. Every second answerable question is asked
    once more about the search results without its documents. The same passages, which are read
    once, are also asked up to ``answered`` questions that they answer. They are asked up to
    ``tempted`` questions that the data set marks as unanswerable near them, and ``elsewhere``
    questions about other documents.
    ``dev_searches``: the same as ``most_searches``, for the dev questions.
    """

    most_searches: int = 40
    passages: tuple[int, ...] = (1, 3, 3, 5, 5)
    words: int = 200
    answered: int = 4
    tempted: int = 4
    elsewhere: int = 2
    dev_searches: int = 12
    seed: int = 0


FULL = ProbeRecipe()
SMALL = ProbeRecipe(most_searches=12, passages=(1, 2), words=60, dev_searches=4)
"""A smoke test: minutes on two cores."""

PROFILES = {"small": SMALL, "full": FULL}
