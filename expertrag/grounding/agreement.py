"""Whether two answers say the same: one yes or no, the same values, or mostly the same words."""

from __future__ import annotations

from expertrag.grounding.wording import Wording, wording

_COMMON = 0.5
"""Least share of the words of the shorter answer that the other one has, if neither has a value."""


def agree(one: str, other: str) -> bool:
    """Return whether two answers to one question say the same."""
    first, second = wording(one), wording(other)
    if first.verdict or second.verdict:
        return first.verdict == second.verdict
    if first.values or second.values:
        return _has_values(first, second) or _has_values(second, first)
    fewest = min(len(first.words), len(second.words))
    return len(first.words & second.words) >= _COMMON * fewest


def _has_values(one: Wording, other: Wording) -> bool:
    """Return whether another answer has the values of this one, with or without units."""
    return bool(one.values) and all(one.has_value(value, other) for value in one.values)
