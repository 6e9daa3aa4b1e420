"""Periods ("daily", "every day", "per day") and entries of a crontab."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag.grounding.values.value import Value

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
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")

BEGINNINGS = frozenset({*_ADVERBS, *_PERIODS, "every", "each", "per", "pro", "a", "an"})
"""Words that a period begins with."""


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
                yield from (_WEEKDAYS[n % 7] for n in range(int(first), int(last or first) + 1))
    if day != "*":
        yield from ("/month" if month == "*" else "/year", f"{day}th")
    if day == month == weekday == "*":
        yield "/day"
