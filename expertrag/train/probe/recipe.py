"""What a probe is trained on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """The figures of a training.

    Sheets: at most ``most_sheets`` questions of a set are searched for, each with a number of
    passages of ``words`` words drawn from ``passages``; every second answerable one is asked again
    of what is found without its documents. Of the same passages, which are read once, up to
    ``answered`` other questions are asked that they answer, ``tempted`` that the set marks as
    unanswerable near them, and ``elsewhere`` whose documents are others.
    ``dev_sheets``: of the questions kept from training.
    """

    most_sheets: int = 40
    passages: tuple[int, ...] = (1, 3, 3, 5, 5)
    words: int = 200
    answered: int = 4
    tempted: int = 4
    elsewhere: int = 2
    dev_sheets: int = 12
    seed: int = 0


FULL = Recipe()
SMALL = Recipe(most_sheets=12, passages=(1, 2), words=60, dev_sheets=4)
"""Minutes on two cores: shows that all works."""

PROFILES = {"small": SMALL, "full": FULL}
