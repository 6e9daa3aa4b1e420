"""Counts the numbered paragraphs of a Word file: ``1.``, ``2.3``, ``(a)``, ``Article IV``."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, NamedTuple

from expertrag_index.loaders.ooxml import number_of, qn

BULLET = "-"
_VALUE, _LEVEL, _ID = qn("w:val"), qn("w:ilvl"), qn("w:numId")
_LEVELS = 9
_PLACE = re.compile(r"%([1-9])")
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"),
    (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_MOST_ROMAN, _MOST_LETTERS = 4000, 26 * 20
_OFF = ("0", "false", "off")


class _Level(NamedTuple):
    """How one level of a list is numbered; ``text`` holds places such as ``%1``."""

    start: int
    kind: str
    text: str
    restarts_after: int
    """The count of upper levels whose next number starts this one again."""
    in_digits: bool


class Numbering:
    """The lists of a Word file, which must be counted in the order of the document.

    :param root: the part that defines the lists; None if there is none.
    """

    def __init__(self, root: Any) -> None:
        self._abstract: dict[str, Any] = {}
        self._numbers: dict[str, Any] = {}
        if root is not None:
            for each in root.iter(qn("w:abstractNum")):
                self._abstract[each.get(qn("w:abstractNumId"), "")] = each
            for each in root.iter(qn("w:num")):
                self._numbers[each.get(_ID, "")] = each
        self._levels: dict[str, dict[int, _Level]] = {}
        self._counts: defaultdict[str, dict[int, int]] = defaultdict(dict)
        self._started: set[tuple[str, int]] = set()

    def level_of_style(self, number: str, style: str) -> int:
        """Return the level of a list that a style is tied to, 0 if none is."""
        for level in self._definition(number).iter(qn("w:lvl")) if number in self._numbers else ():
            tied = level.find(qn("w:pStyle"))
            if tied is not None and tied.get(_VALUE) == style:
                return number_of(level.get(_LEVEL))
        return 0

    def label(self, number: str, level: int) -> str:
        """Count a paragraph; return its number as it is shown, `BULLET`, or nothing.

        :param number: the id of the list.
        :param level: from 0.
        """
        if number not in self._numbers:
            return BULLET
        levels = self._levels_of(number)
        own = levels.get(level)
        if own is None:
            return BULLET
        counts = self._count(number, level, levels)
        if own.kind == "bullet":
            return BULLET

        def write(match: re.Match[str]) -> str:
            at = int(match[1]) - 1
            of = levels.get(at, own)
            kind = "decimal" if own.in_digits else of.kind
            return _write_number(counts.get(at, of.start), kind)

        return " ".join(_PLACE.sub(write, own.text).split())

    def _count(self, number: str, level: int, levels: dict[int, _Level]) -> dict[int, int]:
        counts = self._counts[self._abstract_id(number)]
        if (number, level) not in self._started:
            self._started.add((number, level))
            if self._override(number, level, "startOverride") is not None:
                counts.pop(level, None)
        counts[level] = counts[level] + 1 if level in counts else levels[level].start
        for below in range(level + 1, _LEVELS):
            if below not in levels or levels[below].restarts_after > level:
                counts.pop(below, None)
        return counts

    def _abstract_id(self, number: str) -> str:
        mark = self._numbers[number].find(qn("w:abstractNumId"))
        return str(mark.get(_VALUE, "")) if mark is not None else ""

    def _definition(self, number: str) -> Any:
        """Return the element with the levels of a list, if it must be by the style of another."""
        definition = self._abstract.get(self._abstract_id(number))
        if definition is None:
            return self._numbers[number]
        link = definition.find(qn("w:numStyleLink"))
        if link is not None:
            for other in self._abstract.values():
                own = other.find(qn("w:styleLink"))
                if own is not None and own.get(_VALUE) == link.get(_VALUE):
                    return other
        return definition

    def _override(self, number: str, level: int, name: str) -> Any:
        for each in self._numbers[number].iter(qn("w:lvlOverride")):
            if number_of(each.get(_LEVEL)) == level:
                return each.find(qn(f"w:{name}"))
        return None

    def _levels_of(self, number: str) -> dict[int, _Level]:
        if number not in self._levels:
            elements = list(self._definition(number).iter(qn("w:lvl")))
            elements += self._numbers[number].iter(qn("w:lvl"))
            levels = {number_of(each.get(_LEVEL)): _level(each) for each in elements}
            for level in levels:
                start = self._override(number, level, "startOverride")
                if start is not None:
                    levels[level] = levels[level]._replace(start=number_of(start.get(_VALUE), 1))
            self._levels[number] = levels
        return self._levels[number]


def _level(element: Any) -> _Level:
    def value(name: str, otherwise: str) -> str:
        mark = element.find(qn(f"w:{name}"))
        return otherwise if mark is None else str(mark.get(_VALUE, otherwise))

    own = number_of(element.get(_LEVEL))
    in_digits = element.find(qn("w:isLgl")) is not None and value("isLgl", "1") not in _OFF
    return _Level(
        number_of(value("start", "0")),
        value("numFmt", "decimal"),
        value("lvlText", ""),
        number_of(value("lvlRestart", ""), own),
        in_digits,
    )


def _write_number(number: int, kind: str) -> str:
    if kind == "none":
        return ""
    if kind == "decimalZero":
        return f"{number:02}"
    if kind.endswith("Letter") and 0 < number < _MOST_LETTERS:
        letter = chr(ord("a") + (number - 1) % 26) * ((number - 1) // 26 + 1)
        return letter.upper() if kind.startswith("upper") else letter
    if kind.endswith("Roman") and 0 < number < _MOST_ROMAN:
        roman = _roman(number)
        return roman.upper() if kind.startswith("upper") else roman
    return str(number)


def _roman(number: int) -> str:
    out = ""
    for value, letters in _ROMAN:
        out += letters * (number // value)
        number %= value
    return out
