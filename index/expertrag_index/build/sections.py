"""Splits a document into sections: a heading and the text below it, up to the next heading.

Loaders write the headings of all formats as Markdown (``## Title``), at the left margin. Fenced
code has no headings: there, such a line is a comment.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from expertrag_index.build.fences import fences

_FEWEST_CHARACTERS = 150
"""Smallest section: a smaller one absorbs the following ones of the same or a lower level."""
_HEADING_CHARACTERS = 200

_HEADING = re.compile(r"^(?P<marks>#{1,6})[^\S\n]++(?P<text>\S[^\n]*+)", re.MULTILINE)


class Section(NamedTuple):
    """``text[start:end]``, which starts with its heading, if it has one.

    ``above``: the headings of the enclosing sections, the highest first.
    """

    start: int
    end: int
    heading: str
    above: tuple[str, ...]


class _Heading(NamedTuple):
    start: int
    level: int
    text: str


def sections(text: str) -> list[Section]:
    """Split a text at its headings.

    :return: sections in order that cover the text; a text without headings is one section.
    """
    headings = _headings(text)
    if not headings or text[: headings[0].start].strip():
        headings.insert(0, _Heading(0, 0, ""))
    ends = [*(heading.start for heading in headings[1:]), len(text)]
    result: list[Section] = []
    level = 0  # of the section found last
    path: list[_Heading] = []
    for heading, end in zip(headings, ends, strict=True):
        path = [item for item in path if item.level < heading.level]
        if result and level <= heading.level and _is_small(result[-1]):
            result[-1] = result[-1]._replace(end=end)
        else:
            above = tuple(item.text for item in path)
            result.append(Section(heading.start, end, heading.text, above))
            level = heading.level
        if heading.level:
            path.append(heading)
    return result


def _headings(text: str) -> list[_Heading]:
    result: list[_Heading] = []
    if "#" not in text:  # 20 times as fast as the search for lines
        return result
    start = 0
    for fence_start, fence_end in (*fences(text), (len(text), len(text))):
        for match in _HEADING.finditer(text, start, fence_start):
            name = match["text"].rstrip("# \t")[:_HEADING_CHARACTERS].rstrip()
            if name:  # "# ####" is a line of a drawing
                result.append(_Heading(match.start(), len(match["marks"]), name))
        start = fence_end
    return result


def _is_small(section: Section) -> bool:
    return section.end - section.start < _FEWEST_CHARACTERS
