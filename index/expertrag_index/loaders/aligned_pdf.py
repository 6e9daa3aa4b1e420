"""Finds tables without lines on PDF pages: rows whose texts stand at the same edges."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pypdfium2 import PdfTextPage

from expertrag_index.loaders.chars_pdf import Char, PdfCell, PdfTable, table_of, text_of
from expertrag_index.loaders.columns import TableCell

_FEWEST_ROWS = 3
_GAP = 1.0
"""Heights of a letter between columns: some three spaces."""
_LEADING = 3.5
"""Heights of a letter from row to row, at most."""
_SHARE = 0.6
"""Rows that have a text in each column, and texts of a column that stand at the same edge."""
_NEAR = 2.0
_MOST_NAMES = 2
"""Lines above the first number of a table that may name its columns."""
_LINE = re.compile(r"[^\r\n]+")
_ROW = re.compile(r"\S[^\r\n]*?\s[^\w\s]{0,2}\d")

_Segment = Sequence[Char]
_Line = Sequence[_Segment]


def places_of_numbers(text: str) -> Iterator[range]:
    """Yield where lines with numbers stand below each other, with the names above them.

    Other lines are not looked at: the places of characters take ten times as long as a text.
    """
    lines = [match.span() for match in _LINE.finditer(text)]
    rows = [_ROW.match(text, *span) is not None for span in lines]
    near = {
        each
        for at in range(len(lines) - 1)
        if rows[at] and rows[at + 1]
        for each in range(max(0, at - _MOST_NAMES), at + 2)
    }
    return (range(*lines[at]) for at in sorted(near))


def find_aligned_tables(page: PdfTextPage, chars: Sequence[Char], whole: str) -> Iterator[PdfTable]:
    """Yield the tables that characters of a page make.

    :param whole: the text of the page.
    """
    lines = list(_lines(chars))
    at = 0
    while at < len(lines):
        run = _Run()
        while at + len(run.lines) < len(lines) and run.take(lines[at + len(run.lines)]):
            pass
        if run.is_table:
            columns = [left for left, _ in sorted(run.columns)]
            rows = [
                [
                    PdfCell(TableCell(text_of(segment, whole), run.column_of(segment)), segment)
                    for segment in line
                ]
                for line in run.lines
            ]
            yield table_of(page, rows, columns, is_ruled=False)
        at += len(run.lines) if run.is_table else 1


@dataclass(slots=True)
class _Run:
    """Lines below each other whose texts stand in columns, which are apart from each other."""

    lines: list[_Line] = field(default_factory=list)
    columns: list[tuple[float, float]] = field(default_factory=list)

    def take(self, line: _Line) -> bool:
        """Take a line; False if it does not fit."""
        if len(line) < 2 or (self.lines and not _is_below(self.lines[-1], line)):
            return False
        columns = list(self.columns)
        used: set[tuple[float, float]] = set()
        for segment in line:
            left, right = _sides(segment)
            met = [column for column in columns if column[0] <= right and left <= column[1]]
            if len(met) > 1 or used.intersection(met):
                return False
            for each in met:
                left, right = min(left, each[0]), max(right, each[1])
            merged = left, right
            columns = [merged, *(each for each in columns if each not in met)]
            used.add(merged)
        self.lines.append(line)
        self.columns = columns
        return True

    @property
    def is_table(self) -> bool:
        """Whether most rows have all columns, and each column has an edge."""
        full = sum(len(line) == len(self.columns) for line in self.lines)
        return (
            full >= _FEWEST_ROWS
            and full >= _SHARE * len(self.lines)
            and all(self._has_edge(column) for column in range(len(self.columns)))
        )

    def column_of(self, segment: _Segment) -> int:
        """Return the number of the column in which a text stands, from the left."""
        left, _ = _sides(segment)
        return next(
            number
            for number, (start, end) in enumerate(sorted(self.columns))
            if start <= left <= end
        )

    def _has_edge(self, column: int) -> bool:
        segments = [
            _sides(each) for line in self.lines for each in line if self.column_of(each) == column
        ]
        edges = (
            [left for left, _ in segments],
            [right for _, right in segments],
            [(left + right) / 2 for left, right in segments],
        )
        fewest = max(_FEWEST_ROWS, _SHARE * len(segments))
        return any(_most_near(sorted(places)) >= fewest for places in edges)


def _most_near(places: Sequence[float]) -> int:
    """Return the largest number of places that lie close together; they are in order."""
    most = start = 0
    for end, position in enumerate(places):
        while position - places[start] > _NEAR:
            start += 1
        most = max(most, end + 1 - start)
    return most


def _lines(chars: Sequence[Char]) -> Iterator[_Line]:
    """Yield the lines of a text, each as the texts in it that wide spaces part."""
    line: list[list[Char]] = []
    last: Char | None = None
    for char in chars:
        height = char.high - char.low
        if last is None or not _is_beside(last, char):
            if line:
                yield line
            line = [[char]]
        elif char.left - last.right > _GAP * height:
            line.append([char])
        else:
            line[-1].append(char)
        last = char
    if line:
        yield line


def _is_beside(last: Char, char: Char) -> bool:
    height = min(last.high - last.low, char.high - char.low)
    return abs(char.low - last.low) < height / 2 and char.right > last.left


def _is_below(above: _Line, line: _Line) -> bool:
    first, last = line[0][0], above[0][0]
    return 0 < last.low - first.low < _LEADING * (last.high - last.low)


def _sides(segment: _Segment) -> tuple[float, float]:
    return segment[0].left, segment[-1].right
