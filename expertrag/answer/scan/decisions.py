"""Whether the conditions hold for what was read, over all documents of a scan.

A small model says yes too seldom to one question and too often to another, but orders the documents
well: of three questions about 38 documents, the AUROC was .975 to 1.0, and the share of right
answers at a probability of .5 was .56 to 1.0. So the bound between no and yes is where the
documents of the scan leave the widest gap (batch calibration, Zhou et al. 2023).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from expertrag.answer.scan.plan import Attribute
from expertrag.answer.scan.result import Reading
from expertrag.answer.scan.values import Kind

SURE = 0.5
"""Least probability of a value that counts as read."""
NAMED = 0.85
"""Least probability of a name's first word at which it is the only one. Below it, there are others
beside it, such as attendees, and the document is asked about the name of the condition."""
_EVEN = 0.5
_LOWEST, _HIGHEST = 0.12, 0.75
"""Where the bound between no and yes may be."""
_FEWEST = 6
"""Documents from which on the bound is theirs."""
_NEAR = 0.35
"""Distance from the bound, in log odds, within which an answer is unsure."""
_EDGE = 1e-4


def decide(attribute: Attribute, readings: Sequence[Reading]) -> list[bool | None]:
    """Return whether the condition of an attribute holds for each reading of it."""
    if attribute.kind is Kind.YESNO:
        return _decide_yes_or_no(attribute, readings)
    return [_decide_value(attribute, reading) for reading in readings]


def _decide_value(attribute: Attribute, reading: Reading) -> bool | None:
    """Return whether a condition holds, by the probabilities of all values that it may be."""
    condition = attribute.condition
    if condition is None:
        return True if reading.p >= SURE else None
    masses: dict[bool | None, float] = {}
    for value, share in reading.shares or ((reading.normal, reading.p),):
        holds = False if value is None else condition.holds(value)
        masses[holds] = masses.get(holds, 0.0) + share
    holds = max(masses, key=masses.__getitem__)
    return holds if masses[holds] >= SURE else None


def _decide_yes_or_no(attribute: Attribute, readings: Sequence[Reading]) -> list[bool | None]:
    wants_yes = attribute.condition is None or attribute.condition.normal == "yes"
    odds = [_log_odds(reading.p) for reading in readings]
    bound = find_bound([value for value in odds if abs(value) < -math.log(_EDGE) - 0.01])
    result: list[bool | None] = []
    for value in odds:
        yes = None if abs(value - bound) < _NEAR else value > bound
        result.append(yes if yes is None else yes == wants_yes)
    return result


def find_bound(odds: Sequence[float]) -> float:
    """Return the log odds that part no from yes: the middle of the widest gap, near the lowest."""
    ordered = sorted(odds)
    even = _log_odds(_EVEN)
    if len(ordered) < _FEWEST:
        return even
    low, high = _log_odds(_LOWEST), _log_odds(_HIGHEST)
    best, bound = 0.0, even
    for left, right in pairwise(ordered):
        middle = (max(left, low) + min(right, high)) / 2
        width = min(right, high) - max(left, low)
        if width > best:
            best, bound = width, middle
    return bound


def _log_odds(p: float) -> float:
    clipped = min(max(p, _EDGE), 1 - _EDGE)
    return math.log(clipped / (1 - clipped))
