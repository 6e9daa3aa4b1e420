"""Finds what a chunk does not cut if it fits: sentences, rows of tables, blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from expertrag_index.build.fences import fences
from expertrag_index.words import sentences

_LINE = re.compile(r"\S(?:.*\S)?")
_ROWS = re.compile(
    r"^(?:(?!#{1,6}[^\S\n])(?:[^\S\n]*+\||[^\n]* \| )[^\n]*+(?:\n|\Z))++", re.MULTILINE
)
"""Lines of cells between bars, as the loaders of all formats and Markdown write rows."""
_BAR = re.compile(r" \| ")

Span = tuple[int, int]


def atoms(text: str) -> list[Span]:
    """Find the sentences, rows and blocks of code of a text.

    :return: half-open character ranges in order, without surrounding white space and without
        overlap; every character that is not white space is in exactly one.
    """
    result: list[Span] = []
    position = 0
    for start, end in fences(text):
        result += _rows_and_sentences(text, position, start)
        result.append((start, end))
        position = end
    result += _rows_and_sentences(text, position, len(text))
    return result


def sentences_of(text: str, start: int, end: int) -> list[Span]:
    """Find the sentences of a part of a text."""
    return [(start + first, start + last) for first, last in sentences.spans(text[start:end])]


def lines_of(text: str, start: int, end: int) -> list[Span]:
    """Find the lines of a part of a text that are not blank."""
    return [match.span() for match in _LINE.finditer(text, start, end)]


def lines_of_code(text: str, start: int, end: int) -> list[Span]:
    """Find the lines of a block of code, the fences with those next to them.

    :return: the whole part if it is not a block of code.
    """
    if not text.startswith(("```", "~~~"), start):
        return [(start, end)]
    lines = lines_of(text, start, end)
    if len(lines) < 4:
        return lines
    return [(start, lines[1][1]), *lines[2:-2], (lines[-2][0], end)]


def cells_of(text: str, start: int, end: int) -> list[Span]:
    """Find the cells of a row, each with the bar that follows it."""
    edges = [start, *(bar.end() for bar in _BAR.finditer(text, start, end)), end]
    cells = (trim(text, first, last) for first, last in pairwise(edges))
    return [(first, last) for first, last in cells if first < last]


def trim(text: str, start: int, end: int) -> Span:
    """Return the range of a part of a text without the white space around it."""
    part = text[start:end]
    start = end - len(part.lstrip())
    return start, start + len(part.strip())


def _rows_and_sentences(text: str, start: int, end: int) -> Iterator[Span]:
    position = start
    if text.find("|", start, end) >= 0:
        for rows in _ROWS.finditer(text, start, end):
            lines = lines_of(text, *rows.span())
            if len(lines) > 1 or _is_row(text, *lines[0]):
                yield from sentences_of(text, position, rows.start())
                yield from lines
                position = rows.end()
    yield from sentences_of(text, position, end)


def _is_row(text: str, start: int, end: int) -> bool:
    """Whether a line alone is a row: a bar within prose does not make it one."""
    return text[start] == "|" or text.count(" | ", start, end) > 1
