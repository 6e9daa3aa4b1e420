"""The day on which a file says that it was changed last."""

from __future__ import annotations

import re

_DAY = re.compile(r"(?:D:)?(\d{4})-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])")
_TEMPLATES = frozenset({"2013-12-23T23:15:00Z", "2013-01-27T09:15:58Z"})
"""The stamps of the templates that python-docx and python-pptx write every file from."""


def last_change(*stamps: str | None) -> str:
    """Return the day of the first stamp that has one, as ``2025-03-04``; empty if none has.

    :param stamps: in ISO 8601 or in PDF's form (``D:20250304101500Z``), the last change first.
    """
    texts = [(stamp or "").strip() for stamp in stamps]
    if _TEMPLATES.intersection(texts):
        return ""
    for text in texts:
        if day := _DAY.match(text):
            return "-".join(day.groups())
    return ""
