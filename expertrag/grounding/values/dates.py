"""Dates: a word for the day and month, and one for the year, so that either may be left out."""

from __future__ import annotations

import re
from collections.abc import Sequence

from expertrag.grounding.values.value import Value

_ENGLISH = """January February March April May June July August September October November
    December"""
_GERMAN = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"
_SHORT = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec"
_MONTHS = {
    name: number
    for names in (_ENGLISH, _GERMAN, _SHORT)
    for number, name in enumerate(names.split(), 1)
} | {"Sept": 9, "Okt": 10, "Dez": 12}
_ALONE = frozenset({*_ENGLISH.split(), *_GERMAN.split()} - {"May", "Mai"})
_WEEKDAYS = """Monday Tuesday Wednesday Thursday Friday Saturday Sunday Mon Tue Wed Thu Fri Sat Sun
    Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"""
_DAY_NAMES = {name[:3]: name for name in _WEEKDAYS.split()[:7]}
_NAME = "|".join(sorted(_MONTHS, key=len, reverse=True))
_YEAR = r"(?:,?[ -]?(?P<year>(?:1\d|20)\d\d)(?![\d.,:]*\d))?"
_NUMERIC = re.compile(
    r"(?P<y>\d{4})-(?P<m>\d\d?)(?:-(?P<d>\d\d?))?(?![\d-])(?:T(?=\d))?"
    r"|(?P<first>\d\d?)(?P<mark>[./])(?P<second>\d\d?)(?P=mark)(?P<long>\d{4}|\d\d)(?![\d./]*\d)"
    r"|(?P<month>\d\d?)/(?P<of>\d{4})(?!\d)"
)
_DAY_FIRST = re.compile(
    rf"(?P<day>\d\d?)(?:st|nd|rd|th|\.)?[ \u00a0-](?:of )?(?P<name>{_NAME})\b\.?{_YEAR}"
)
_MONTH_FIRST = re.compile(
    rf"(?P<name>{_NAME})\b\.?"
    rf"(?: (?P<day>\d\d?)(?:st|nd|rd|th)?(?![\d:.]*\d){_YEAR}| (?P<only>(?:1\d|20)\d\d)\b)?"
)
_WEEKDAY = re.compile(
    rf"(?P<weekday>{'|'.join(_WEEKDAYS.split())})\b[.,]? (?:the )?(?=\d|(?:{_NAME})\b)"
)

_DAY_BEFORE = re.compile(r"\b\d\d?\.\s*\Z")
_MONTH = re.compile(rf"(?:{_NAME})\b")

BEGINNINGS = frozenset(name.lower() for name in (*_MONTHS, *_WEEKDAYS.split()))
"""Words that a date begins with."""


def whole_dates(text: str, places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join sentences that a splitter has cut within a German date: "am 1. | September"."""
    result: list[tuple[int, int]] = []
    for start, end in places:
        if result and _DAY_BEFORE.search(text, result[-1][0], start) and _MONTH.match(text, start):
            start = result.pop()[0]
        result.append((start, end))
    return result


def date_at(text: str, start: int) -> Value | None:
    """Read a date that begins with a digit."""
    if match := _DAY_FIRST.match(text, start):
        return _date(match.end(), _MONTHS[match["name"]], int(match["day"]), match["year"])
    match = _NUMERIC.match(text, start)
    if match is None:
        return None
    if match["y"]:
        return _date(match.end(), int(match["m"]), int(match["d"] or 0), match["y"])
    if match["of"]:
        return _date(match.end(), int(match["month"]), 0, match["of"])
    day, month, year = int(match["first"]), int(match["second"]), match["long"]
    if len(year) == 2:
        if len(match["first"]) + len(match["second"]) < 4:  # "5.3.10" is a version
            return None
        year = f"20{year}"
    if match["mark"] == ".":
        return _date(match.end(), month, day, year)
    return _date(match.end(), month, day, year, swapped=True)


def date_by_name_at(text: str, start: int) -> Value | None:
    """Read a date that begins with the name of a month or of a weekday."""
    if weekday := _WEEKDAY.match(text, start):
        position = weekday.end()
        value = (date_at if text[position].isdecimal() else date_by_name_at)(text, position)
        name = weekday["weekday"]
        if value and value.words[0].startswith("--"):
            holds = (*value.holds, _DAY_NAMES.get(name[:3], name).lower())
            return Value(value.end, value.words, value.also, holds)
    match = _MONTH_FIRST.match(text, start)
    if match is None:
        return None
    if match["day"] or match["only"]:
        month = _MONTHS[match["name"]]
        return _date(match.end(), month, int(match["day"] or 0), match["year"] or match["only"])
    return (
        _date(match.end("name"), _MONTHS[match["name"]], 0, None)
        if match["name"] in _ALONE
        else None
    )


def _date(
    end: int, month: int, day: int, year: str | None, *, swapped: bool = False
) -> Value | None:
    """Return the value of a date; ``day`` is 0 for a whole month."""
    also: tuple[str, ...] = ()
    if swapped and month > 12:
        day, month = month, day
    elif swapped and day <= 12:
        also = (f"--{day:02}-{month:02}",)
    if not 1 <= month <= 12 or day > 31:
        return None
    of_month = f"--{month:02}"
    years = (year,) if year else ()
    if not day:
        return Value(end, (of_month, *years))
    return Value(end, (f"{of_month}-{day:02}", *years), also, (*also, of_month))
