"""Citation markers: "[1][2]" at the end of an answer cites passages by 1-based number."""

from __future__ import annotations

import re

_MARKERS = re.compile(r"\s*((?:\[\d+\][,;]?\s*)+)\.?\s*$")


def split_markers(text: str) -> tuple[str, tuple[int, ...]]:
    """Split a text into the part before its final markers, and the markers' numbers."""
    markers = _MARKERS.search(text)
    if markers is None:
        return text, ()
    return text[: markers.start()], tuple(map(int, re.findall(r"\d+", markers[1])))
