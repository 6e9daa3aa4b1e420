"""Find the periods that a question names: days, months, quarters, years, and open ends."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from expertrag_index.tables.cells import date_of, month_number

_FIRST, _LAST = date(1, 1, 1), date(9999, 12, 31)

_DATE = (
    r"\d{4}-\d{2}-\d{2}|\d{1,2}\.\s?\d{1,2}\.\s?\d{4}"
    r"|\d{1,2}(?:\.|st|nd|rd|th)?\s+(?:of\s+)?[^\W\d_]{3,10}\.?,?\s+\d{4}"
    r"|[^\W\d_]{3,10}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}"
)
_MONTH = r"(?P<month>[^\W\d_]{3,10})\.?(?:\s+(?:of\s+)?(?P<year>\d{4}))?"
_QUARTER = re.compile(
    r"\bQ(?P<number>[1-4])(?:[\s/-]*(?:of\s+)?(?P<year>\d{4}))?"
    r"|\b(?P<name>first|second|third|fourth|erste[nsr]?|zweite[nsr]?|dritte[nsr]?|vierte[nsr]?|[1-4]\.)"
    r"\s+(?:quarter|quartals?)(?:\s+(?:of\s+)?(?P<later>\d{4}))?",
    re.IGNORECASE,
)
_HALF = re.compile(
    r"\bH(?P<number>[12])(?:[\s/-]*(?P<year>\d{4}))?"
    r"|\b(?P<name>first|second|erste[nsr]?|zweite[nsr]?|1\.|2\.)\s+(?:half|halbjahr(?:es)?|hälfte)"
    r"(?:\s+(?:of\s+|von\s+)?(?P<later>\d{4}))?",
    re.IGNORECASE,
)
_ISO_MONTH = re.compile(r"\b(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])\b(?!-)")
_YEAR = re.compile(r"(?<![\d.,-])(?P<year>19\d\d|20\d\d)(?![\w-]|[.,]\d)")
_ORDER = {"first": 1, "second": 2, "third": 3, "fourth": 4, "erste": 1, "zweite": 2, "dritte": 3}
_YEAR_IN_NAME = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")

_BEFORE = re.compile(
    r"\b(before|prior to|earlier than|vor|bis vor|avant|antes de)(?:\s+(?:the|dem|der))?\s*$", re.I
)
_AFTER = re.compile(r"\b(after|later than|nach|après|después de)(?:\s+(?:the|dem|der))?\s*$", re.I)
_SINCE = re.compile(
    r"\b(since|from|starting|seit|ab|depuis|desde)(?:\s+(?:the|dem|der))?\s*$", re.I
)
_UNTIL = re.compile(
    r"\b((?:before|vor|by|until|till|up to|bis(?: zum)?)(?: the| dem)? (?:end of|ende)(?: of| von)?"
    r"|until|till|up to|by|through|bis|jusqu'en|hasta)"
    r"(?:\s+(?:the|zum))?\s*$",
    re.I,
)
_BETWEEN = re.compile(r"^\s*(?:and|to|und|bis|until|till|through|-|\u2013|et|y)\s*$", re.I)
_BETWEEN_BEGINS = re.compile(
    r"\b(between|from|zwischen|von|vom|entre|de)(?:\s+(?:the|dem|der))?\s*$", re.I
)


@dataclass(frozen=True, slots=True)
class NamedPeriod:
    """A period that a question names; the days are inclusive ISO 8601.

    ``months``: numbers of its months, if no year is named; ``first`` and ``last`` are then "".
    ``start`` and ``end`` are character offsets into the question.
    """

    first: str
    last: str
    start: int
    end: int
    text: str
    months: tuple[int, ...] = ()

    @property
    def year(self) -> str:
        """The year that the period is; "" if it is not a whole year."""
        year = self.first[:4]
        return year if (self.first, self.last) == (f"{year}-01-01", f"{year}-12-31") else ""


def find_periods(question: str, today: date) -> tuple[NamedPeriod, ...]:
    """Return the periods in the order in which a question names them; they do not overlap.

    :param today: for "this year" and "last month".
    """
    periods: list[NamedPeriod] = []
    for find in (_days, _quarters, _months, _relative, _years):
        for period in find(question, today):
            if all(period.end <= other.start or period.start >= other.end for other in periods):
                periods.append(period)
    periods.sort(key=lambda period: period.start)
    periods = _share_year(periods)
    return tuple(_join_ends(question, periods))


def _share_year(periods: list[NamedPeriod]) -> list[NamedPeriod]:
    """Give months without a year the year of the next period: "in May and June 2026"."""
    shared, year = [], ""
    for period in reversed(periods):
        if period.first[:4] == period.last[:4] != "":
            year = period.first[:4]
        if period.months and year:
            first, last = _days_of(int(year), period.months)
            period = NamedPeriod(first, last, period.start, period.end, period.text)
        shared.append(period)
    return shared[::-1]


def _days_of(year: int, months: Sequence[int]) -> tuple[str, str]:
    """Return the first and the last day of months of a year."""
    last = date(year, months[-1], calendar.monthrange(year, months[-1])[1])
    return date(year, months[0], 1).isoformat(), last.isoformat()


def _days(question: str, _: date) -> Iterator[NamedPeriod]:
    for match in re.finditer(_DATE, question):
        if day := date_of(match[0]):
            yield NamedPeriod(day, day, match.start(), match.end(), match[0])


def _quarters(question: str, _: date) -> Iterator[NamedPeriod]:
    for pattern, length in ((_QUARTER, 3), (_HALF, 6)):
        for match in pattern.finditer(question):
            name = (match["name"] or "").casefold()
            number = int(match["number"] or 0) or _ordinal(name)
            months = range((number - 1) * length + 1, number * length + 1)
            year = match["year"] or match["later"]
            yield _span(match, year, list(months))


def _ordinal(name: str) -> int:
    if name[:1].isdigit():
        return int(name[0])
    return next((n for word, n in _ORDER.items() if name.startswith(word)), 4)


def _months(question: str, _: date) -> Iterator[NamedPeriod]:
    for match in _ISO_MONTH.finditer(question):
        yield _span(match, match["year"], [int(match["month"])])
    for match in re.finditer(_MONTH, question):
        number = month_number(match["month"])
        word = match["month"]
        # "may" and "march" are verbs as well: only with a year, or written as a name
        if number is None or (
            word.islower()
            and word in ("may", "march", "mars", "mar")
            and not match["year"]
            and not re.search(
                r"\b(in|im|of|for|during|since|until|and|bis)\s+$", question[: match.start()]
            )
        ):
            continue
        yield _span(match, match["year"], [number])


def _span(match: re.Match[str], year: str | None, months: list[int]) -> NamedPeriod:
    if year:
        first, last = _days_of(int(year), months)
        return NamedPeriod(first, last, match.start(), match.end(), match[0])
    return NamedPeriod("", "", match.start(), match.end(), match[0], months=tuple(months))


def _years(question: str, _: date) -> Iterator[NamedPeriod]:
    for match in _YEAR.finditer(question):
        year = match["year"]
        yield NamedPeriod(f"{year}-01-01", f"{year}-12-31", match.start(), match.end(), match[0])


def _relative(question: str, today: date) -> Iterator[NamedPeriod]:
    this_month = today.replace(day=1)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    next_month = (this_month + timedelta(days=32)).replace(day=1)
    after_next = (next_month + timedelta(days=32)).replace(day=1)
    year = today.year
    spans: dict[str, tuple[date, date]] = {
        r"this year|dieses Jahr|diesem Jahr|in diesem Jahr": (date(year, 1, 1), date(year, 12, 31)),
        r"last year|previous year|letztes Jahr|letzten Jahr|vergangenen Jahr": (
            date(year - 1, 1, 1),
            date(year - 1, 12, 31),
        ),
        r"next year|nächstes Jahr|nächsten Jahr": (date(year + 1, 1, 1), date(year + 1, 12, 31)),
        r"this month|diesen Monat|diesem Monat": (this_month, next_month - timedelta(days=1)),
        r"last month|letzten Monat": (last_month, this_month - timedelta(days=1)),
        r"next month|nächsten Monat": (next_month, after_next - timedelta(days=1)),
    }
    for words, (first, last) in spans.items():
        for match in re.finditer(rf"\b(?:{words})\b", question, re.IGNORECASE):
            days = first.isoformat(), last.isoformat()
            yield NamedPeriod(*days, match.start(), match.end(), match[0])


def _join_ends(question: str, periods: list[NamedPeriod]) -> Iterator[NamedPeriod]:
    """Join "from A to B", and open the ends of "before A", "since A"."""
    at = 0
    while at < len(periods):
        period = periods[at]
        before = question[: period.start]
        if at + 1 < len(periods) and period.first and periods[at + 1].first:
            other = periods[at + 1]
            if _BETWEEN.match(question[period.end : other.start]) and _BETWEEN_BEGINS.search(
                before
            ):
                yield NamedPeriod(
                    period.first,
                    other.last,
                    period.start,
                    other.end,
                    question[period.start : other.end],
                )
                at += 2
                continue
        yield _open_end(period, before)
        at += 1


def _open_end(period: NamedPeriod, before: str) -> NamedPeriod:
    if not period.first:
        return period
    day = timedelta(days=1)
    ends: list[tuple[re.Pattern[str], Callable[[], tuple[str, str]]]] = [
        (_UNTIL, lambda: (_FIRST.isoformat(), period.last)),
        (
            _BEFORE,
            lambda: (_FIRST.isoformat(), (date.fromisoformat(period.first) - day).isoformat()),
        ),
        (_AFTER, lambda: ((date.fromisoformat(period.last) + day).isoformat(), _LAST.isoformat())),
        (_SINCE, lambda: (period.first, _LAST.isoformat())),
    ]
    for pattern, open_end in ends:
        if match := pattern.search(before):
            first, last = open_end()
            return NamedPeriod(
                first, last, match.start(), period.end, before[match.start() :] + period.text
            )
    return period


def find_years(name: str) -> list[str]:
    """Return the years in the name of a table, a path or a question, such as "costs_2024"."""
    return _YEAR_IN_NAME.findall(name)
