"""Writes the dates and times of spreadsheets as their format shows them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(
    r'"(?P<literal>[^"]*)"|(?P<elapsed>\[(?:h+|m+|s+)\])|(?P<half>AM/PM|A/P)'
    r"|(?P<field>y+|m+|d+|h+|s+|e+)|(?P<fraction>\.0+)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_EPOCH = datetime.datetime(1899, 12, 30)
_LEAP_DAY = 60
"""The number of 29 February 1900, which spreadsheets believe in: days before it are one later."""
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_SECONDS = {"h": 3600, "m": 60, "s": 1}


class _Token(NamedTuple):
    kind: str
    text: str


def is_date(code: str) -> bool:
    """Whether a part of a format shows a date or a time; its literals are in quotes."""
    return any(token.kind in ("field", "elapsed") for token in _tokens(code))


def format_date(value: float, code: str, epoch: datetime.datetime | None) -> str:
    """Return a number of days as a date.

    :param epoch: the day of the number 0; None for the end of 1899.
    :raises ValueError: it is before that day.
    :raises OverflowError: it is after the year 9999.
    """
    tokens = _tokens(code)
    if value < 0:
        raise ValueError("a date before the first")
    precision = max((len(text) - 1 for kind, text in tokens if kind == "fraction"), default=0)
    seconds = round(value * 86_400, precision)
    early = epoch is None and value < _LEAP_DAY
    day = (epoch or _EPOCH) + datetime.timedelta(days=int(early), seconds=seconds)
    twelve = any(kind == "half" for kind, _ in tokens)
    parts = [_write_token(token, day, seconds, twelve) for token in tokens]
    whole = _numeric_date(tokens)
    if whole is not None:
        parts[whole] = [day.date().isoformat()]
    return " ".join("".join(parts).split())


@lru_cache(maxsize=1024)
def _tokens(code: str) -> tuple[_Token, ...]:
    tokens = [
        _Token(match.lastgroup or "", match[match.lastgroup or 0])
        for match in _TOKEN.finditer(code)
    ]
    fields = [at for at, token in enumerate(tokens) if token.kind in ("field", "elapsed")]
    for before, at, after in zip([None, *fields], fields, [*fields[1:], None], strict=False):
        if tokens[at].text.lower() in ("m", "mm") and (
            _is(tokens, before, "h") or _is(tokens, after, "s")
        ):
            tokens[at] = _Token("minute", tokens[at].text)
    return tuple(tokens)


def _is(tokens: Sequence[_Token], at: int | None, letter: str) -> bool:
    return at is not None and tokens[at].text.lower().strip("[]")[:1] == letter


def _numeric_date(tokens: Sequence[_Token]) -> slice | None:
    """Return where a format has the year, the month and the day, all of them as numbers."""
    fields = {
        token.text[0].lower(): (at, len(token.text))
        for at, token in enumerate(tokens)
        if token.kind == "field" and token.text[0].lower() in "ymd"
    }
    if len(fields) < 3 or fields["m"][1] > 2 or fields["d"][1] > 2:
        return None
    places = sorted(at for at, _ in fields.values())
    return slice(places[0], places[-1] + 1)


def _write_token(token: _Token, day: datetime.datetime, seconds: float, twelve: bool) -> str:
    kind, text = token
    if kind == "field":
        return _FIELDS[text[0].lower()](day, len(text), twelve)
    if kind == "minute":
        return str(day.minute).zfill(len(text))
    if kind == "elapsed":
        return str(int(seconds // _SECONDS[text[1].lower()])).zfill(len(text) - 2)
    if kind == "half":
        half = "AM" if day.hour < 12 else "PM"
        return half if len(text) > 3 else half[0]
    if kind == "fraction":
        return f"{seconds % 1:.{len(text) - 1}f}"[1:]
    return "" if text in "@" else text


def _year(day: datetime.datetime, length: int, _: bool) -> str:
    return f"{day.year:04}" if length > 2 else f"{day.year % 100:02}"


def _month(day: datetime.datetime, length: int, _: bool) -> str:
    name = _MONTHS[day.month - 1]
    return _write_name(name, length, day.month)


def _day(day: datetime.datetime, length: int, _: bool) -> str:
    return _write_name(_DAYS[day.weekday()], length, day.day)


def _write_name(name: str, length: int, number: int) -> str:
    if length < 3:
        return str(number).zfill(length)
    return {3: name[:3], 5: name[0]}.get(length, name)


def _hour(day: datetime.datetime, length: int, twelve: bool) -> str:
    return str((day.hour % 12 or 12) if twelve else day.hour).zfill(min(length, 2))


def _second(day: datetime.datetime, length: int, _: bool) -> str:
    return str(day.second).zfill(min(length, 2))


_FIELDS: dict[str, Callable[[datetime.datetime, int, bool], str]] = {
    "y": _year,
    "e": lambda day, _length, _twelve: str(day.year),
    "m": _month,
    "d": _day,
    "h": _hour,
    "s": _second,
}
