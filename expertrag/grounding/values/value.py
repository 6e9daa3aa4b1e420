"""A value in a text, as words that are compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """A value that ends before ``end``.

    ``words``: what it says. ``also``: another reading of the first word: "12/06" is two dates.
    ``holds``: words that a passage with it also supports: "30 days" supports "30" and "day".
    ``number``: a number without a unit, which a column name or heading may give. ``bare``: numbers
    that may say the same without a unit: 74 and 74000 for "74 thousand euros". ``exact``: whether a
    text that says otherwise contradicts it; not so for "one", which is often no count.
    """

    end: int
    words: tuple[str, ...]
    also: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    number: str = ""
    bare: tuple[str, ...] = ()
    exact: bool = True
