"""The values of a text by kind: dates, amounts of money, numbers and durations, with their places.

The language model only chooses among these values; code finds, normalises and compares them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from expertrag.answer.scan.periods import Period, parse_period, periods_in
from expertrag.grounding.values import Value, may_begin_value, value_at
from expertrag.grounding.values.units import MONEY

_WORD = re.compile(r"[^\W\d_]+|\d[\d.,]*")
_SIGN = re.compile(r"[€$£¥]\s?\Z")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.']\d{3})+\Z")
_SPACED = re.compile(r"\b\d{1,3}(?: \d{3})+\b(?!\d)")
_SECONDS_A_MONTH = Decimal(2_629_746)


class Kind(StrEnum):
    """What an attribute of a document is."""

    DATE = "date"
    MONEY = "money"
    NUMBER = "number"
    DURATION = "duration"
    NAME = "name"
    YESNO = "yesno"


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit: a currency in small letters, "s" or "mo", "%", or "" for none."""

    number: Decimal
    unit: str = ""

    @property
    def comparable(self) -> tuple[Decimal, str]:
        """The number in a unit in which all of a dimension are compared: months become seconds."""
        if self.unit == "mo":
            return self.number * _SECONDS_A_MONTH, "s"
        return self.number, self.unit


Normal = Period | Quantity | str
"""A normalised value; text for names, and "yes" or "no"."""


@dataclass(frozen=True, slots=True)
class WrittenValue:
    """A value that stands in a text at ``start:end``.

    ``derived``: the code has computed it, such as a start and a duration added up.
    """

    start: int
    end: int
    written: str
    normal: Normal
    derived: bool = False


def find_mentions(text: str, kind: Kind) -> list[WrittenValue]:
    """Find the values of a kind in a text, in their order; none for names and yes or no."""
    if kind is Kind.DATE:
        return _dates(text)
    if kind in (Kind.NAME, Kind.YESNO):
        return []
    found = [mention for mention in _amounts(text) if _is_of(kind, mention.normal)]
    if kind is not Kind.NUMBER:
        return found
    dates = [range(start, end) for start, end, _ in periods_in(text)]
    return [mention for mention in found if not any(mention.start in date for date in dates)]


def parse_value(text: str, kind: Kind) -> Normal | None:
    """Normalise a value as it is written; None if it cannot be read."""
    if kind in (Kind.NAME, Kind.YESNO):
        return text.strip() or None
    if kind is Kind.DATE:
        return parse_period(text)
    return next((mention.normal for mention in find_mentions(text, kind)), None)


def _is_of(kind: Kind, normal: Normal) -> bool:
    if not isinstance(normal, Quantity):
        return False
    if kind is Kind.MONEY:
        return normal.unit in MONEY
    if kind is Kind.DURATION:
        return normal.unit in ("s", "mo")
    return normal.unit not in MONEY and normal.unit not in ("s", "mo")


def _dates(text: str) -> list[WrittenValue]:
    """Find dates; one without a year gets the year of the date before it, else of the next one."""
    found = [
        WrittenValue(start, end, text[start:end], period) for start, end, period in periods_in(text)
    ]
    years = [
        (mention.start, mention.normal.first.year)
        for mention in found
        if isinstance(mention.normal, Period) and not mention.normal.yearless
    ]
    result: list[WrittenValue] = []
    for mention in found:
        period = mention.normal
        assert isinstance(period, Period), "they are dates"
        if period.yearless and years:
            before = [year for start, year in years if start < mention.start]
            period = period.in_year(before[-1] if before else years[0][1])
        result.append(replace(mention, normal=period))
    return result


def _amounts(text: str) -> Iterator[WrittenValue]:
    text = _SPACED.sub(lambda match: match[0].replace(" ", "\u00a0"), text)
    position = 0
    for match in _WORD.finditer(text):
        word = match[0].lower()
        if match.start() < position or not may_begin_value(word):
            continue
        value = value_at(text, match.start(), word)
        if value is None:
            continue
        position = value.end
        if amount := _amount_of(value, text[match.start() : value.end]):
            sign = _SIGN.search(text, max(0, match.start() - 2), match.start())
            start = sign.start() if sign else match.start()
            written = text[start : value.end].replace("\u00a0", " ")
            yield WrittenValue(start, value.end, written, amount)


def _amount_of(value: Value, written: str) -> Quantity | None:
    """Return the amount that a value is; None for a date, a time, a version or a period."""
    readings = [reading for reading in (*value.words[:1], *value.also) if reading]
    if not readings or readings[0][0] not in "-0123456789" or readings[0].startswith("--"):
        return None
    number, _, unit = readings[0].partition(" ")
    digits = re.search(r"\d[\d.,'\u00a0]*", written)
    in_thousands = digits and _THOUSANDS.match(digits[0].rstrip(".,"))
    if unit in MONEY and in_thousands and len(readings) > 1:  # "€1.200" has no decimals
        number = readings[1].partition(" ")[0]
    try:
        return Quantity(Decimal(number), unit)
    except ArithmeticError:  # "14:15", "3rd"
        return None
