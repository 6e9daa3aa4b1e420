"""Dates, times of day, periods ("daily", "per day") and entries of a crontab.

A date is a word for the day and month, and one for the year, so that either may be left out. A
time is its hour and minute: "2:15 pm", "14.15 Uhr" and "14:15" are "14:15".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

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

DATE_WORDS = frozenset(name.lower() for name in (*_MONTHS, *_WEEKDAYS.split()))
"""Words that a date begins with."""

_HALF = r"(?P<half>[ap])\.?m\b\.?|in the (?P<part>morning|afternoon|evening)\b"
_TIME = re.compile(
    rf"(?P<hour>\d\d?)(?:(?P<mark>[:.])(?P<minute>[0-5]\d)(?::[0-5]\d)?)?(?![\d:])"
    rf"(?:[ \u00a0]?(?:{_HALF}|(?P<clock>Uhr|o'clock)\b))?",
    re.IGNORECASE,
)
_TO = re.compile(
    rf"[ \u00a0]?(?:-|\u2013|to|and|until)[ \u00a0]?\d\d?(?:[:.][0-5]\d)?[ \u00a0]?(?:{_HALF})",
    re.I,
)
_NAMED_TIMES = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}

TIME_WORDS = frozenset(_NAMED_TIMES)
"""Words that are a time."""

_PERIODS = {
    "hour": "3600 s", "day": "86400 s", "week": "604800 s", "month": "1 mo", "quarter": "3 mo",
    "year": "12 mo",
}  # fmt: skip
_ADVERBS = {
    "hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month",
    "quarterly": "quarter", "yearly": "year", "annually": "year", "annual": "year",
    "täglich": "day", "wöchentlich": "week", "monatlich": "month", "jährlich": "year",
}  # fmt: skip
_ADVERBS |= {
    f"{word}{ending}": period
    for word, period in _ADVERBS.items()
    if word.endswith("lich")
    for ending in ("e", "en", "er", "es")
}
_EVERY = re.compile(
    rf"(?P<each>every|each|per|pro|an?) (?:single |calendar )?"
    rf"(?P<period>{'|'.join(_PERIODS)})\b(?! of\b)",
    re.IGNORECASE,
)
_LOOSE = frozenset({"a", "an", "annual"})  # "a day" may be one day, and leave is annual
_WORD = re.compile(r"[^\W\d_]+")
_CRON = re.compile(r"(?:(?:\*|[\d*][\d,/*-]*)[ \t]+){4}[\d*][\d,/*-]*(?![^\s`\"'])")
_CRON_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

PERIOD_WORDS = frozenset({*_ADVERBS, *_PERIODS, "every", "each", "per", "pro", "a", "an"})
"""Words that a period begins with."""


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


def time_at(text: str, start: int) -> Value | None:
    """Read a time that begins with a digit."""
    match = _TIME.match(text, start)
    if match is None or int(match["hour"]) > 23:
        return None
    half = _half(match) or (_half(to) if (to := _TO.match(text, match.end())) else "")
    said = half or match["clock"]
    if not said and (match["mark"] != ":" or not match["minute"]):
        return None
    hour, minute = int(match["hour"]), match["minute"] or "00"
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
        return Value(match.end(), (f"{hour:02}:{minute}",), holds=(match["hour"],))
    also = (f"{hour + 12}:{minute}",) if 1 <= hour < 12 and match["hour"][0] != "0" else ()
    return Value(match.end(), (f"{hour:02}:{minute}",), also, also)


def time_by_name_at(text: str, start: int) -> Value | None:
    """Read "noon" or "midnight"."""
    name = next(name for name in _NAMED_TIMES if text[start : start + len(name)].lower() == name)
    return Value(start + len(name), (_NAMED_TIMES[name],), holds=(name,), exact=False)


def _half(match: re.Match[str]) -> str:
    """Return "a" or "p" for the half of the day; empty if it is not given."""
    part = (match["part"] or "").lower()
    return (match["half"] or "").lower() or ({"morning": "a"}.get(part, "p") if part else "")


def period_at(text: str, start: int) -> Value | None:
    """Read a period: "daily", "every day", "per day", "/day"."""
    if match := _EVERY.match(text, start):
        word, period = match["each"].lower(), match["period"].lower()
        end = match.end()
    else:
        named = _WORD.match(text, start)
        word = named[0].lower() if named else ""
        end = start + len(word)
        period = word if text[start - 1 : start] == "/" else _ADVERBS.get(word, "")
        if not period or word in ("a", "an"):
            return None
    also = (_PERIODS[period], period) if word in ("a", "an") else (_PERIODS[period],)
    holds = (_PERIODS[period], period)  # each quarter is every three months
    return Value(end, (f"/{period}",), also, holds, exact=word not in _LOOSE)


def cron_at(text: str, start: int) -> Value | None:
    """Read the five fields of a crontab entry: minute, hour, day, month and weekday."""
    if "*" not in text[start : start + 24] and text[start - 2 : start] != "*/":
        return None
    if text[max(0, start - 2) : start] == "*/":
        start -= 2
    match = _CRON.match(text, start)
    if match is None or "*" not in match[0]:
        return None
    minute, hour, *days = match[0].split()
    if minute.isdecimal() and hour.isdecimal():
        return Value(match.end(), (f"{int(hour):02}:{int(minute):02}",), holds=tuple(_days(days)))
    return Value(match.end(), tuple(_steps(minute, hour)))


def _steps(minute: str, hour: str) -> Iterator[str]:
    for field, seconds, period in ((minute, 60, "/minute"), (hour, 3_600, "/hour")):
        _, _, step = field.partition("*/")
        if step.isdecimal():
            yield f"{int(step) * seconds} s"
        elif field == "*":
            yield period


def _days(fields: list[str]) -> Iterator[str]:
    """Yield the words for the days of an entry: its period, and the names of weekdays."""
    day, month, weekday = fields
    if weekday != "*":
        yield "/week"
        for part in weekday.split(","):
            first, _, last = part.partition("-")
            if first.isdecimal() and (last or first).isdecimal():
                yield from (_CRON_DAYS[n % 7] for n in range(int(first), int(last or first) + 1))
    if day != "*":
        yield from ("/month" if month == "*" else "/year", f"{day}th")
    if day == month == weekday == "*":
        yield "/day"
