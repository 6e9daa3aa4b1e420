"""Finds the messages of a chat that is exported as text, as WhatsApp and Signal do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from itertools import pairwise

from expertrag_index.loaders.chats import ExportedMessage, are_people

_LINE = re.compile(
    r"[\u200e\u200f\ufeff]*(?P<open>\[)?(?P<day>\d{1,4}[./-]\d{1,2}[./-]\d{1,4})"
    r"(?P<comma>,)?[^\S\n]++(?:klo[^\S\n]++)?"  # as in Finnish
    r"(?P<hour>\d{1,2})[:.](?P<minute>\d\d)(?P<second>[:.]\d\d)?"
    r"(?:\s?(?P<half>[ap])\.?\s?m\.?)?"
    r"(?(open)\][^\S\n]++|[^\S\n]++[-\u2013][^\S\n]++)"
    r"(?:[\u200e\u200f~\s]*+(?P<who>[^:\n]{1,60}):(?:[^\S\n]+|$))?(?P<text>.*)",
    re.IGNORECASE,
)
_NO_NAME = re.compile(
    r"[\[\](){}=<>/\\]|\b(?:debug|info|notice|warn(?:ing)?|error|critical|alert|fatal|trace)\b",
    re.IGNORECASE,
)
"""In the names of logs."""
_OPENING_LINES = 10
"""The first message stands in them."""
_MARKS = str.maketrans("", "", "\u200e\u200f")


def messages_in(text: str) -> tuple[str, list[ExportedMessage]]:
    """Return the lines above a chat, and its messages; none if a text is not one.

    A line of a chat begins with a date, a time and a name: ``12/03/24, 14:05 - Name: text`` or
    ``[2024-03-12 14:05] Name: text``. Other lines go on with the message above.
    """
    lines = [line.rstrip() for line in text.strip().split("\n")]
    if not any(_LINE.match(line) for line in lines[:_OPENING_LINES]):
        return "", []
    matches: list[re.Match[str]] = []
    texts: list[list[str]] = []
    above: list[str] = []
    for line in lines:
        if match := _LINE.match(line):
            matches.append(match)
            texts.append([match["text"].translate(_MARKS)])
        else:
            (texts[-1] if texts else above).append(line)
    if not _is_chat(matches, sum(map(bool, lines))):
        return "", []
    days = _days([match["day"] for match in matches])
    messages = [
        ExportedMessage(f"{day} {_clock(match)}", (match["who"] or "").strip(), "\n".join(said))
        for match, day, said in zip(matches, days, texts, strict=True)
    ]
    return ("\n".join(above).strip(), messages) if are_people(messages) else ("", [])


def _is_chat(matches: Sequence[re.Match[str]], lines: int) -> bool:
    """Whether enough lines are of messages, and their names are not from a log."""
    names = [match["who"] for match in matches if match["who"]]
    if 3 * len(matches) < lines or 2 * len(names) <= len(matches):
        return False
    is_log = any(match["second"] and not match["comma"] for match in matches)
    return not is_log and 10 * sum(map(bool, map(_NO_NAME.search, names))) <= len(names)


def _clock(match: re.Match[str]) -> str:
    hour = int(match["hour"])
    if half := match["half"]:
        hour = hour % 12 + 12 * (half in "pP")
    return f"{hour:02}:{match['minute']}"


def _days(written: Sequence[str]) -> list[str]:
    """Write dates as ISO 8601 does.

    The order of day and month is the one in which all are dates, or none is before the one above.
    Dates with dots begin with the day. If nothing tells, they are kept as they are written.
    """
    parts = [[int(part) for part in re.split(r"[./-]", day)] for day in written]
    orders = [(0, 1, 2)] if all(first > 31 for first, _, _ in parts) else [(2, 1, 0), (2, 0, 1)]
    fitting = [days for order in orders if (days := _in_order(parts, order))]
    if len(fitting) > 1:
        ascending = [days for days in fitting if all(a <= b for a, b in pairwise(days))]
        has_dots = all("." in day for day in written)
        fitting = ascending if len(ascending) == 1 else fitting[: 1 if has_dots else 2]
    same = len(fitting) == 1 or (len(fitting) == 2 and fitting[0] == fitting[1])
    return [day.isoformat() for day in fitting[0]] if same else list(written)


def _in_order(parts: Sequence[Sequence[int]], order: tuple[int, int, int]) -> list[date]:
    """Read numbers as dates, given the places of year, month and day; none if one is not a date."""
    year, month, day = order
    try:
        return [
            date(part[year] + 2000 * (part[year] < 100), part[month], part[day]) for part in parts
        ]
    except ValueError:
        return []
