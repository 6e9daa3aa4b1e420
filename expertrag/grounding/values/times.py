"""Times of day, as hour and minute: "2:15 pm", "14.15 Uhr" and "14:15" are "14:15"."""

from __future__ import annotations

import re

from expertrag.grounding.values.value import Value

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
_NAMES = {"noon": "12:00", "midday": "12:00", "midnight": "00:00"}

BEGINNINGS = frozenset(_NAMES)
"""Words that are a time."""


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
    name = next(name for name in _NAMES if text[start : start + len(name)].lower() == name)
    return Value(start + len(name), (_NAMES[name],), holds=(name,), exact=False)


def _half(match: re.Match[str]) -> str:
    """Return "a" or "p" for the half of the day; empty if it is not given."""
    part = (match["part"] or "").lower()
    return (match["half"] or "").lower() or ({"morning": "a"}.get(part, "p") if part else "")
