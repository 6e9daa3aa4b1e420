"""Read the cells of tables: numbers with their unit, and dates.

A column has a type only if all of its cells do, so that a query compares values of one type.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from expertrag_index.types import Scalar

_MOST_DIGITS = 18
"""Digits of a number; SQLite's integers have 64 bits, and a longer one is a code."""

_CURRENCY = (
    r"€|\$|£|¥|Fr\.|kr|EUR|USD|GBP|CHF|JPY|CNY|INR|NOK|SEK|DKK|PLN|CZK|HUF|CAD|AUD|NZD|BRL|ZAR"
)
_NUMBER = re.compile(
    rf"(?P<before>(?:{_CURRENCY})\s?)?(?P<sign>[-\u2212\u2013]?)"
    r"(?P<digits>\d[\d.,'\u2019\u00a0\u202f ]*\d|\d)"
    r"\s?(?P<after>[^\W\d_][\w.]{0,11}|[€$£¥%‰°][\w/]{0,4})?(?:s\b)?",
)
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "january jan januar jänner janvier enero",
            "february feb februar février fevrier febrero",
            "march mar märz maerz mrz mars marzo",
            "april apr avril abril",
            "may mai mayo",
            "june jun juni juin junio",
            "july jul juli juillet julio",
            "august aug août aout agosto",
            "september sep sept septembre septiembre",
            "october oct oktober okt octobre octubre",
            "november nov novembre noviembre",
            "december dec dezember dez décembre decembre diciembre",
        ),
        1,
    )
    for name in names.split()
}
_COMMA = re.compile(r"(?<![\d.,])\d{1,3}(?:\.?\d{3})*,\d{1,2}(?![\d.,])")
_POINT = re.compile(r"(?<![\d.,])\d{1,3}(?:,?\d{3})*\.\d{1,2}(?![\d.,])")
_ISO = re.compile(r"(\d{4})-(\d{1,2})(?:-(\d{1,2}))?(?:[T ]\d{1,2}:\d{2}.*)?")
_SLASHES = re.compile(r"(\d{4})/(\d{1,2})/(\d{1,2})")
_DOTS = re.compile(r"(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4})")
_DAY_FIRST = re.compile(
    r"(\d{1,2})(?:\.|st|nd|rd|th)?\s+(?:of\s+|de\s+)?([^\W\d_]{3,10})\.?,?\s+(?:de\s+)?(\d{4})"
)
_MONTH_FIRST = re.compile(r"([^\W\d_]{3,10})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})")
_MAIL = re.compile(r"[A-Z][a-z]{2}, (\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) .*")


@dataclass(frozen=True, slots=True)
class CellAmount:
    """A number and its unit; "" without one."""

    number: int | float
    unit: str = ""


def month_number(name: str) -> int | None:
    """Return the number of a month by its English, German, French or Spanish name."""
    return _MONTHS.get(name.casefold().rstrip("."))


def uses_decimal_comma(cells: Iterable[object]) -> bool:
    """Return whether numbers are written as 1.234,50, and none as 1,234.50."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    return any(map(_COMMA.search, texts)) and not any(map(_POINT.search, texts))


def amount_of(cell: Scalar, *, decimal_comma: bool = False) -> CellAmount | None:
    """Return the number that a cell is; None if it is not one number with at most one unit.

    :param decimal_comma: whether 1.234 is a thousand.
    """
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        return CellAmount(cell)
    match = _NUMBER.fullmatch(cell.strip())
    if match is None or (match["before"] and match["after"]):
        return None
    digits = re.sub(r"[\s'\u2019\u00a0\u202f]", "", match["digits"])
    if digits.isdigit() and len(digits) > 1 and digits[0] == "0":  # a code, such as "007"
        return None
    plain = _plain(digits, decimal_comma=decimal_comma)
    if plain is None or len(plain) > _MOST_DIGITS:
        return None
    number = float(plain) if "." in plain else int(plain)
    return CellAmount(
        -number if match["sign"] else number, (match["before"] or match["after"] or "").strip()
    )


def _plain(digits: str, *, decimal_comma: bool) -> str | None:
    """Write a number with a decimal point and without separators of thousands."""
    marks = [mark for mark in digits if mark in ".,"]
    if not marks:
        return digits
    last = marks[-1]
    head, _, tail = digits.rpartition(last)
    if marks.count(last) == 1 and (len(set(marks)) == 2 or len(tail) != 3):
        head = head.replace(",", "").replace(".", "")
        return f"{head}.{tail}" if head.isdigit() and tail.isdigit() else None
    if last == "." and marks.count(".") == 1 and not (decimal_comma and len(head) <= len(tail)):
        # 1.234 is a decimal number, 1,234 is not
        return digits if head.isdigit() else None
    groups = digits.split(last)
    if len(set(marks)) > 1 or not all(len(group) == 3 for group in groups[1:]):
        return None
    return "".join(groups)


_SLASHED = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")


def read_slashed_dates(cells: Sequence[Scalar]) -> list[str] | None:
    """Return the days of cells such as 25/02/2026; None if they are not all days.

    The day comes first, unless one of the cells can only be read with the month first.
    """
    matches = [
        _SLASHED.fullmatch(cell.strip()) if isinstance(cell, str) else None for cell in cells
    ]
    known = [match for match in matches if match]
    if not known or len(known) < len(cells):
        return None
    month_first = any(int(match[2]) > 12 for match in known)
    day, month = (2, 1) if month_first else (1, 2)
    days = [_day(match[3], match[month], match[day]) for match in known]
    return [one for one in days if one] if all(days) else None


def date_of(cell: Scalar) -> str | None:
    """Return the day that a cell is, as ISO 8601 (a month as YYYY-MM); None if it is not a day."""
    if not isinstance(cell, str):
        return None
    text = cell.strip()
    if match := _ISO.fullmatch(text) or _SLASHES.fullmatch(text):
        if match[3] is None:
            return f"{match[1]}-{int(match[2]):02}" if 1 <= int(match[2]) <= 12 else None
        return _day(match[1], match[2], match[3])
    if match := _DOTS.fullmatch(text):
        return _day(match[3], match[2], match[1])
    if match := _DAY_FIRST.fullmatch(text) or _MAIL.fullmatch(text):
        return _day(match[3], month_number(match[2]), match[1])
    if match := _MONTH_FIRST.fullmatch(text):
        return _day(match[3], month_number(match[1]), match[2])
    return None


def _day(year: str, month: str | int | None, day: str) -> str | None:
    try:
        return date(int(year), int(month or 0), int(day)).isoformat()
    except ValueError:
        return None
