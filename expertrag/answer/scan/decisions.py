"""Whether the conditions hold for what was read, over all documents of a scan.

A small model says yes too seldom to one question and too often to another, but orders the documents
well. Twelve questions were asked about 14 to 18 documents each. In all of them, the documents that
yes is right for had the higher probabilities. The bound between them and the others was .12 for one
question and .85 for another. So the bound is where the documents of a scan leave the widest gap
(batch calibration, Zhou et al. 2023). If there is none, or the documents on one side differ by more
than the gap, some are unsure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.values import Kind

SURE = 0.5
"""Least probability of a value that counts as read."""
NAMED = 0.85
"""Least probability of a name's first word at which no other name is likely. Below it, a document
has several, such as attendees, and is asked about the name of the condition."""
_CERTAIN = 0.7
"""Least probability of a condition, or of a value, that is beyond doubt."""
_CERTAIN_NO, _CERTAIN_YES = 0.12, 0.85
"""Probabilities of yes that are beyond doubt. Nine of 36 contracts are "extended unless notice is
given". To "Does the contract renew automatically?" they had .15 to .27, and were counted as no."""
_NO, _YES = 0.2, 0.75
"""Probabilities of yes below and above which an answer is sure without a gap."""
_FEWEST = 6
"""Documents from which on a gap parts them."""
_LEAST_GAP = 0.7  # in log odds
_SPREAD = 1.2  # how much wider than the gap a side may be
_CLIP = 3.0  # log odds beyond which all are alike


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Log odds up to which an answer is no, and from which on it is yes; others are unsure."""

    no: float
    yes: float

    def decide(self, odds: float) -> bool | None:
        """Return whether it is yes."""
        if odds <= self.no:
            return False
        return True if odds >= self.yes else None


def decide(attribute: Attribute, readings: Sequence[Reading]) -> list[bool | None]:
    """Return whether the condition of an attribute holds for each reading of it."""
    if attribute.kind is not Kind.YESNO:
        return [_decide_value(attribute, reading) for reading in readings]
    wants_yes = attribute.condition is None or attribute.condition.normal == "yes"
    odds = [_log_odds(reading.p) for reading in readings]
    bounds = _find_bounds(odds)
    answers = [bounds.decide(value) for value in odds]
    return [answer if answer is None else answer == wants_yes for answer in answers]


def is_certain(attribute: Attribute, reading: Reading) -> bool:
    """Return whether a decision on a reading is beyond doubt, so that a count may stand for it."""
    if attribute.kind is Kind.YESNO:
        return not _CERTAIN_NO < reading.p < _CERTAIN_YES
    if attribute.kind is Kind.NAME and attribute.condition:
        return reading.p >= NAMED
    return max(_weigh(attribute, reading).values(), default=0.0) >= _CERTAIN


def _decide_value(attribute: Attribute, reading: Reading) -> bool | None:
    """Return whether a condition holds, by the probabilities of all values that it may be."""
    masses = _weigh(attribute, reading)
    holds = max(masses, key=masses.__getitem__)
    return holds if masses[holds] >= SURE else None


def _weigh(attribute: Attribute, reading: Reading) -> dict[bool | None, float]:
    """Return the probabilities that a condition holds, and that it does not."""
    condition = attribute.condition
    if condition is None:
        return {True: reading.p}
    masses: dict[bool | None, float] = {}
    for value, share in reading.shares or ((reading.normal, reading.p),):
        holds = False if value is None else condition.holds(value)
        masses[holds] = masses.get(holds, 0.0) + share
    return masses


def _find_bounds(odds: Sequence[float]) -> _Bounds:
    ordered = sorted(odds)
    gap = _widest(ordered) if len(ordered) >= _FEWEST else None
    if gap is None or ordered[gap] - ordered[gap - 1] < _LEAST_GAP:
        return _Bounds(_log_odds(_NO), _log_odds(_YES))
    low, high = ordered[:gap], ordered[gap:]
    most = _SPREAD * (high[0] - low[-1])
    no, yes = low[-1], high[0]
    if low[-1] - low[0] > most and (inner := _widest(low)):
        no = low[inner - 1]
    if high[-1] - high[0] > most and (inner := _widest(high)):
        yes = high[inner]
    return _Bounds(no, yes)


def _widest(ordered: Sequence[float]) -> int | None:
    """Return the number of the value above the widest gap; None without a gap."""
    gaps = [right - left for left, right in pairwise(ordered)]
    return 1 + max(range(len(gaps)), key=gaps.__getitem__) if gaps else None


def _log_odds(p: float) -> float:
    clipped = min(max(p, 1e-6), 1 - 1e-6)
    return min(max(math.log(clipped / (1 - clipped)), -_CLIP), _CLIP)
