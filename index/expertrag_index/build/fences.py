"""Finds fenced code, as Markdown has it and as the loaders of all formats write code."""

from __future__ import annotations

import re

_FENCE = re.compile(r"^[^\S\n]*+(?P<mark>`{3,}+|~{3,}+)(?P<info>[^\n]*+)", re.MULTILINE)


def fences(text: str) -> list[tuple[int, int]]:
    """Find the blocks of fenced code, at any indentation.

    :return: half-open character ranges in order, both fences included, without the white space
        around them. A block that is not closed reaches to the end of the text.
    """
    result: list[tuple[int, int]] = []
    if "```" not in text and "~~~" not in text:
        return result
    opening: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        if opening is None:
            if "`" not in match["info"]:  # "```like this```" is code within a line
                opening = match
        elif match["mark"].startswith(opening["mark"]) and not match["info"].strip():
            result.append((opening.start("mark"), match.end("mark")))
            opening = None
    if opening is not None:
        result.append((opening.start("mark"), len(text.rstrip())))
    return result
