"""Citation markers: an answer's end, "[1][2]", names passages by their numbers, from 1."""

from __future__ import annotations

import re

_MARKERS = re.compile(r"\s*((?:\[\d+\][,;]?\s*)+)\.?\s*$")


def split_markers(text: str) -> tuple[str, tuple[int, ...]]:
    """Return a text without the markers at its end, and their numbers."""
    markers = _MARKERS.search(text)
    if markers is None:
        return text, ()
    return text[: markers.start()], tuple(map(int, re.findall(r"\d+", markers[1])))
