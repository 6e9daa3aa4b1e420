"""Splits the lines of a CSV file into rows, and never loses one to a quotation mark."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_MOST_LINES = 10_000
"""Most lines of a row: a quotation mark that opens more is a stray one."""
_LINES_AHEAD = 50
"""Lines that a line lets be read in vain: where stray marks are many, they may open fewer lines."""


class Row(NamedTuple):
    """The cells of a row, and its lines. ``is_whole``: its quotation marks are in order."""

    cells: list[str]
    text: str
    is_whole: bool = True

    @property
    def is_blank(self) -> bool:
        """Whether it has no text."""
        return not any(map(str.strip, self.cells))


def rows_of(lines: Iterable[str], delimiter: str, most_chars: int) -> Iterator[Row]:
    """Yield the rows of a file. Each line is in one of them, in order.

    A line whose quotation marks are not in order is a row of its own.

    :param most_chars: most characters of a row of several lines.
    """
    coming = iter(lines)
    again: deque[str] = deque()  # lines that a stray quotation mark had joined to the row above
    ahead = _MOST_LINES
    while (line := _next(again, coming)) is not None:
        row = [line]
        length = len(line)
        is_open = _is_open(line, delimiter, False)
        while is_open and len(row) < min(ahead, _MOST_LINES) and length < most_chars:
            if (line := _next(again, coming)) is None:
                break
            row.append(line)
            length += len(line)
            is_open = _is_open(line, delimiter, is_open)
        cells = None if is_open else _cells(row, delimiter)
        if cells is None:
            ahead += _LINES_AHEAD - len(row)
            again.extendleft(reversed(row[1:]))
            yield Row(row[0].rstrip("\n").split(delimiter), row[0].rstrip("\n"), is_whole=False)
        else:
            ahead += _LINES_AHEAD * len(row)
            yield Row(cells, "".join(row).rstrip("\n"))


def _next(again: deque[str], coming: Iterator[str]) -> str | None:
    return again.popleft() if again else next(coming, None)


def _is_open(line: str, delimiter: str, is_open: bool) -> bool:
    """Return whether a cell in quotation marks continues below a line.

    :param is_open: whether one began above it.
    """
    at = 0
    while True:
        if not is_open:
            if not line.startswith('"', at):
                at = line.find(delimiter, at) + 1
                if at == 0:
                    return False
                continue
            at += 1
        at = line.find('"', at)
        if at < 0:
            return True
        is_open = line.startswith('""', at)
        at += 2 if is_open else 1


def _cells(row: list[str], delimiter: str) -> list[str] | None:
    """Return the cells of a row; None if its quotation marks are not in order."""
    try:
        rows = list(csv.reader(row, delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
