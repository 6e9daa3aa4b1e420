"""Writes the tables of reStructuredText with the names of their columns in each row.

A table of another form, such as one with cells over rows, or without a header, stays as it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from expertrag_index.loaders.cells import write_table
from expertrag_index.loaders.columns import TableCell, TableRow

_GRID = re.compile(r"(\s*)\+(?:-+\+)+\s*")
_HEADED = re.compile(r"\s*\+(?:=+\+)+\s*")
_SIMPLE = re.compile(r"(\s*)=+(?: +=+)+\s*")
_RUN = re.compile(r"=+")
_BULLET = re.compile(r"(\s*)[*+-] [*+-](?: |$)")
_MOST_LINES = 2_000
_NOT_FLAT = ("::", ".. ", "+-")


def write_rst_table(lines: Sequence[str], at: int) -> tuple[list[str], int] | None:
    """Write the table that begins with a line; return its lines and the line after it, or None."""
    line = lines[at]
    if simple := _SIMPLE.fullmatch(line):
        return _simple(lines, at, len(simple[1]))
    if grid := _GRID.fullmatch(line):
        return _grid(lines, at, len(grid[1]))
    return None


def csv_table(header: str, lines: Sequence[str], header_rows: int) -> list[str] | None:
    """Write the content of a ``csv-table``; None if it has no header.

    :param header: the names of the columns, as the option of this name has them.
    """
    content = [line.strip() for line in lines if line.strip()]
    if not content or not (header or header_rows):
        return None
    rows = list(csv.reader([*filter(None, [header]), *content], skipinitialspace=True))
    return _lines([_cells(row) for row in rows], header_rows + bool(header))


def list_table(lines: Sequence[str], header_rows: int) -> list[str] | None:
    """Write the content of a ``list-table``; None if it has no header or another form."""
    if not header_rows or any(mark in line for line in lines for mark in _NOT_FLAT[:2]):
        return None
    rows: list[list[str]] = []
    margin = -1
    for line in filter(str.strip, lines):
        row = _BULLET.match(line)
        if row and margin in (-1, len(row[1])):
            margin = len(row[1])
            rows.append([line[row.end() :].strip()])
        elif rows and re.match(rf" {{{margin + 2}}}[*+-](?: |$)", line):
            rows[-1].append(line[margin + 4 :].strip())
        elif rows and len(line) - len(line.lstrip()) > margin + 2:
            rows[-1][-1] = f"{rows[-1][-1]} {line.strip()}".strip()
        else:
            return None
    return _lines([_cells(row) for row in rows], header_rows)


def _grid(lines: Sequence[str], at: int, margin: int) -> tuple[list[str], int] | None:
    end = at
    while end < min(len(lines), at + _MOST_LINES) and lines[end].strip()[:1] in ("+", "|"):
        end += 1
    block = [line[margin:].rstrip() for line in lines[at:end]]
    if any(line[0] == "+" and line.strip("+-=") for line in block):
        return None  # cells over rows
    edges = sorted(
        {position for line in block if line[0] == "+" for position in _places(line, "+")}
    )
    rows: list[list[TableCell]] = []
    marked = 0
    start = 0
    for number, line in enumerate(block):
        if line[0] != "+":
            continue
        if number > start + 1:
            row = _grid_row(block[start + 1 : number], edges)
            if row is None:
                return None
            rows.append(row)
        if _HEADED.fullmatch(line):
            marked = len(rows)
        start = number
    if not marked or start != len(block) - 1:
        return None
    return _lines(rows, marked, " " * margin), end


def _grid_row(lines: Sequence[str], edges: Sequence[int]) -> list[TableCell] | None:
    if any(mark in line for line in lines for mark in _NOT_FLAT):
        return None
    bars = [at for at in edges if all(line[at : at + 1] == "|" for line in lines)]
    if bars[:1] != edges[:1] or bars[-1:] != edges[-1:]:
        return None
    return [
        TableCell(
            " ".join(" ".join(line[left + 1 : right] for line in lines).split()),
            edges.index(left),
            edges.index(right) - edges.index(left),
        )
        for left, right in pairwise(bars)
    ]


def _simple(lines: Sequence[str], at: int, margin: int) -> tuple[list[str], int] | None:
    border = lines[at].rstrip()
    ends = [at]
    for number in range(at + 1, min(len(lines), at + _MOST_LINES)):
        line = lines[number].rstrip()
        if line == border:
            ends.append(number)
            if not "".join(lines[number + 1 : number + 2]).strip():
                break
        elif _SIMPLE.fullmatch(line) or (line.strip() and not line.strip("- ")):
            return None  # cells over columns
    if len(ends) != 3:
        return None
    starts = [run.start() for run in _RUN.finditer(border)]
    head = list(_simple_rows(lines[ends[0] + 1 : ends[1]], starts))
    body = list(_simple_rows(lines[ends[1] + 1 : ends[2]], starts))
    if not head or not body or any(not row for row in (*head, *body)):
        return None
    return _lines([*map(_cells, head), *map(_cells, body)], len(head), " " * margin), ends[2] + 1


def _simple_rows(lines: Sequence[str], starts: Sequence[int]) -> Iterator[list[str]]:
    """Yield the texts of rows; an empty list for one that is not in columns."""
    row: list[str] = []
    for line in lines:
        if not line.strip():
            continue
        texts = [line[left:right].strip() for left, right in pairwise((*starts, None))]
        is_apart = all(line[start - 1 : start].strip() == "" for start in starts if start)
        if not is_apart or any(mark in line for mark in _NOT_FLAT):
            yield []
        elif texts[0] or not row:
            if row:
                yield row
            row = texts
        else:
            row = [f"{above} {text}".strip() for above, text in zip(row, texts, strict=True)]
    if row:
        yield row


def _places(line: str, sign: str) -> Iterator[int]:
    return (at for at, each in enumerate(line) if each == sign)


def _cells(texts: Sequence[str]) -> list[TableCell]:
    return [TableCell("" if text == "\\" else text, at) for at, text in enumerate(texts)]


def _lines(rows: Sequence[TableRow], marked: int, margin: str = "") -> list[str]:
    return ["", *(f"{margin}{line}" for line in write_table(rows, marked).split("\n")), ""]
