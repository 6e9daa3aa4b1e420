"""Dates, months, quarters and years as periods of days, in English and German."""

from __future__ import annotations

import datetime
import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass

from expertrag.grounding.values import may_begin_value, value_at

_WORD = re.compile(r"[^\W\d_]+|\d+")
_YEAR = re.compile(r"(?<![\d.,/-])(?:19|20)\d\d(?![\d/-]|[.,]\d)")
_MONTH_ALONE = re.compile(
    r"\b(January|February|March|April|May|June|July|August|September|October|November|December"
    r"|Januar|Februar|März|Mai|Juni|Juli|Oktober|Dezember)\b(?! \d)"
)
_MONTHS = {
    name: number
    for names in (
        "January February March April May June July August September October November December",
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    )
    for number, name in enumerate(names.split(), 1)
}
_ORDINALS = {
    "first": 1, "1st": 1, "1.": 1, "ersten": 1, "second": 2, "2nd": 2, "2.": 2, "zweiten": 2,
    "third": 3, "3rd": 3, "3.": 3, "dritten": 3, "fourth": 4, "4th": 4, "4.": 4, "vierten": 4,
}  # fmt: skip
_QUARTER = re.compile(
    r"(?:\bQ(?P<q>[1-4])|(?P<nth>1st|2nd|3rd|4th|[1-4]\.|first|second|third|fourth|ersten|zweiten"
    r"|dritten|vierten) (?:quarter|Quartal)s?)"
    r"(?:[ /-]?(?:of |des Jahres |in )?(?P<year>(?:19|20)\d\d)\b)?",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"\b(?P<which>this|next|last|current|dieses|diesem|nächstes|nächsten|letztes|letzten|im"
    r" laufenden) (?P<unit>year|month|quarter|Jahr|Jahres|Monat|Quartal)\b",
    re.IGNORECASE,
)
_LATER = {"next": 1, "nächstes": 1, "nächsten": 1, "last": -1, "letztes": -1, "letzten": -1}
_NO_YEAR = 2000
"""Year of a period without one; a leap year."""


@dataclass(frozen=True, slots=True)
class Period:
    """The days from ``first`` to ``last``; ``yearless`` if the text names no year."""

    first: datetime.date
    last: datetime.date
    yearless: bool = False

    @classmethod
    def of(cls, year: int | None, month: int | None = None, day: int | None = None) -> Period:
        """Return a day, a month or a year.

        :raises ValueError: there is no such day.
        """
        known = year or _NO_YEAR
        if month is None:
            return cls(datetime.date(known, 1, 1), datetime.date(known, 12, 31), year is None)
        first = datetime.date(known, month, day or 1)
        last = first if day else first.replace(day=monthrange(known, month)[1])
        return cls(first, last, year is None)

    def in_year(self, year: int) -> Period:
        """Return the same days of another year; 29 February becomes the 28th."""
        return Period(_move(self.first, year), _move(self.last, year))

    def after_months(self, months: int) -> Period | None:
        """Return the last day of so many months that begin on the first day; None beyond 9999."""
        count = self.first.year * 12 + self.first.month - 1 + months
        year, month = divmod(count, 12)
        if year > datetime.MAXYEAR:
            return None
        day = min(self.first.day, monthrange(year, month + 1)[1])
        last = datetime.date(year, month + 1, day)
        if day == self.first.day:
            last -= datetime.timedelta(days=1)
        return Period(last, last, self.yearless)

    @property
    def written(self) -> str:
        """The period in ISO 8601: a day, a month, a year, or two days with a slash."""
        first, last = self.first, self.last
        if first == last:
            return first.strftime("--%m-%d") if self.yearless else first.isoformat()
        whole = first.day == 1 and last.day == monthrange(last.year, last.month)[1]
        if whole and (first.year, first.month) == (last.year, last.month):
            return first.strftime("--%m") if self.yearless else first.strftime("%Y-%m")
        if whole and (first.month, last.month) == (1, 12) and first.year == last.year:
            return str(first.year)
        return f"{first.isoformat()}/{last.isoformat()}"


def periods_in(text: str) -> Iterator[tuple[int, int, Period]]:
    """Find the dates, months, quarters and years of a text, with their places, in order."""
    position = 0
    for match in _WORD.finditer(text):
        if match.start() < position:
            continue
        read = _period_at(text, match.start(), match[0])
        if read is not None:
            end, period = read
            yield match.start(), end, period
            position = end


def parse_period(text: str, today: datetime.date | None = None) -> Period | None:
    """Return the period that a text names, from the first to the last of several; None for none.

    :param today: for words such as "next year"; None reads no such words.
    """
    if today and (relative := _RELATIVE.search(text)):
        return _relative(relative, today)
    found = [period for _, _, period in periods_in(text)]
    years = [period.first.year for period in found if not period.yearless]
    if years:  # "between March and May 2026"
        text = _MONTH_ALONE.sub(rf"\g<0> {years[-1]}", text)
        found = [period for _, _, period in periods_in(text)]
        found = [p.in_year(years[-1]) if p.yearless else p for p in found]
    else:
        found += [Period.of(None, _MONTHS[match[0]]) for match in _MONTH_ALONE.finditer(text)]
        found += [_quarter_of(match) for match in _QUARTER.finditer(text)]
    if not found:
        return None
    yearless = found[0].yearless
    first = min(period.first for period in found)
    return Period(first, max(period.last for period in found), yearless)


def _period_at(text: str, start: int, word: str) -> tuple[int, Period] | None:
    if (quarter := _QUARTER.match(text, start)) and quarter["year"]:
        return quarter.end(), _quarter_of(quarter)
    value = value_at(text, start, word.lower()) if may_begin_value(word.lower()) else None
    if value and value.words[0].startswith("--"):
        _, _, month, *day = value.words[0].split("-")
        year = int(value.words[1]) if len(value.words) > 1 else None
        try:
            period = Period.of(year, int(month), int(day[0]) if day else None)
        except ValueError:
            return None
        return None if year is None and not day else (value.end, period)
    if year_alone := _YEAR.match(text, start):
        return year_alone.end(), Period.of(int(year_alone[0]))
    return None


def _quarter_of(match: re.Match[str]) -> Period:
    number = int(match["q"] or 0) or _ORDINALS[match["nth"].lower()]
    return _quarter(int(match["year"]) if match["year"] else None, number)


def _quarter(year: int | None, number: int) -> Period:
    first, last = Period.of(year, 3 * number - 2), Period.of(year, 3 * number)
    return Period(first.first, last.last, year is None)


def _relative(match: re.Match[str], today: datetime.date) -> Period:
    step = _LATER.get(match["which"].lower(), 0)
    unit = match["unit"].lower()
    if unit.startswith(("year", "jahr")):
        return Period.of(today.year + step)
    if unit.startswith("quart"):
        number = (today.month - 1) // 3 + step
        return _quarter(today.year + number // 4, number % 4 + 1)
    month = today.month - 1 + step
    return Period.of(today.year + month // 12, month % 12 + 1)


def _move(day: datetime.date, year: int) -> datetime.date:
    try:
        return day.replace(year=year)
    except ValueError:
        return day.replace(year=year, day=28)
