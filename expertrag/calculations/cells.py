"""Read the numbers of the tables in passages, with the names of their rows and columns.

Three forms of tables are read:

- lines of cells below a header: "Rent | 120 | 104";
- lines whose cells have the names of their columns, as the loaders write them: "Item: Rent | 2023:
  120 | 2024: 104";
- records, with a line for each field: "Item: Rent".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from expertrag.api.types import Passage
from expertrag_index.tables.cells import amount_of, uses_decimal_comma

_BREAK = re.compile(r" ; |\n|$")
"""Ends a row of a table. In a text of one line, rows are separated by " ; "."""
_CELL = re.compile(r"[^|]*(?:\||$)")
_FIELD = re.compile(r"(?P<name>[^:|]{1,60}):\s+(?P<value>\S.*)")
_YEAR = re.compile(r"(?:19|20)\d\d")
_YEARS = range(1990, 2036)
"""Numbers that are the names of columns, not values."""


@dataclass(frozen=True, slots=True)
class NumberCell:
    """A number of a table.

    ``row`` and ``column`` are the names of its row and column. ``section`` is the heading of the
    rows around it, and ``caption`` what is written above the table. ``passage`` is the number of
    its passage from 0. ``start`` and ``end`` are character offsets into the passage's text.
    """

    number: float
    written: str
    row: str
    column: str
    section: str
    caption: str
    passage: int
    start: int
    end: int

    @property
    def is_percentage(self) -> bool:
        """Whether it is a number of percent."""
        return "%" in self.written or "%" in self.column


@dataclass(slots=True)
class _Line:
    """The cells of a line: texts, and their offsets into the passage's text."""

    texts: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, text: str, start: int) -> _Line:
        line = cls()
        for cell in _CELL.finditer(text):
            if cell[0]:
                inner = cell[0].rstrip("|")
                line.texts.append(inner.strip())
                line.starts.append(start + cell.start() + len(inner) - len(inner.lstrip()))
        return line


def read_cells(passages: Sequence[Passage]) -> list[NumberCell]:
    """Return the numbers of all tables in passages."""
    return [cell for at, passage in enumerate(passages) for cell in _read_passage(passage, at)]


def number_of(text: str, *, decimal_comma: bool = False) -> float | None:
    """Return the number that a cell is; one in brackets is negative. None for other texts."""
    plain = re.sub(r"[()]", "", text).strip()
    plain = re.sub(r"(?<=[$€£¥])\s+|\s+(?=%)", "", plain)
    amount = amount_of(plain, decimal_comma=decimal_comma)
    if amount is None:
        return None
    return -amount.number if text.lstrip("$€£¥ ").startswith("(") else amount.number


def _read_passage(passage: Passage, at: int) -> Iterator[NumberCell]:
    lines = list(_split_lines(passage.text))
    comma = uses_decimal_comma(text for line in lines for text in line.texts)
    if not any(len(line.texts) > 1 for line in lines):
        yield from _read_record(passage, lines, at, comma)
        return
    header: list[_Line] = []
    section = caption = ""
    for line in lines:
        if len(line.texts) < 2:
            caption, header, section = " ".join(line.texts), [], ""
        elif named := list(_read_named(line)):
            yield from _cells_of(named, "", caption or passage.title, at, comma)
        elif not _has_values(line, comma):
            if any(line.texts[1:]) or not header:
                header = [*header, line]
            else:
                section = line.texts[0]
        else:
            names = _name_columns(header, len(line.texts))
            cells = list(zip(names, line.texts, line.starts, strict=True))
            above = " ".join([caption or passage.title, *(one.texts[0] for one in header)])
            yield from _cells_of(cells, section, above.strip(), at, comma)


def _split_lines(text: str) -> Iterator[_Line]:
    start = 0
    for end in _BREAK.finditer(text):
        if text[start : end.start()].strip():
            yield _Line.of(text[start : end.start()], start)
        start = end.end()


def _read_record(
    passage: Passage, lines: Sequence[_Line], at: int, comma: bool
) -> Iterator[NumberCell]:
    fields = [one for line in lines for one in _read_named(line)]
    yield from _cells_of(fields, "", passage.title, at, comma)


def _read_named(line: _Line) -> Iterator[tuple[str, str, int]]:
    """Yield the name, text and start of each cell, if all cells have a name."""
    matches = [_FIELD.fullmatch(text) for text in line.texts]
    for match, start in zip(matches, line.starts, strict=True):
        if match and all(matches):
            yield match["name"].strip(), match["value"].strip(), start + match.start("value")


def _cells_of(
    cells: Sequence[tuple[str, str, int]], section: str, caption: str, at: int, comma: bool
) -> Iterator[NumberCell]:
    """Yield the numbers of a row: names of columns, texts and starts of its cells."""
    numbers = [number_of(text, decimal_comma=comma) for _, text, _ in cells]
    row = next((text for (_, text, _), one in zip(cells, numbers, strict=True) if one is None), "")
    for (column, text, start), number in zip(cells, numbers, strict=True):
        if number is not None:
            end = start + len(text)
            yield NumberCell(number, text, row, column, section, caption, at, start, end)


def _has_values(line: _Line, comma: bool) -> bool:
    """Return whether a line has a number that is not a year, after the name of its row."""
    numbers = [number_of(text, decimal_comma=comma) for text in line.texts[1:]]
    return any(one is not None and one not in _YEARS for one in numbers)


def _name_columns(header: Sequence[_Line], width: int) -> list[str]:
    """Join the lines of a header; a name without a year also stands above the columns after it."""
    spread = []
    for line in header:
        names, last = [], ""
        for text in line.texts[1:]:
            last = text or last
            names.append(text if text or _YEAR.search(last) else last)
        spread.append(["", *names])
    columns = zip_longest(*spread, fillvalue="")
    joined = [" ".join(dict.fromkeys(filter(None, names))) for names in columns]
    return (joined + [""] * width)[:width]
