"""Markup of the office share: headings, paragraphs, lists, captioned tables, code.

Tables are those of Markdown. Rows above the rule are headers. A cell ``<`` belongs to the cell on
its left, ``^`` to the cell above. A line ``Table: …`` before a table is its caption, and a line
``Note: …`` is a speaker's note on a slide and a paragraph elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

LEFT, ABOVE = "<", "^"
_HEADING = re.compile(r"(#+) (.+)")
_NUMBERED = re.compile(r"\d+[.)] (.+)")
_CAPTION = re.compile(r"^(Table: .*)\n\n\|", re.MULTILINE)
_RULE = re.compile(r"\|[-:| ]+\|")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class Kind(StrEnum):
    """What a block is."""

    HEADING = "heading"
    TEXT = "text"
    BULLET = "bullet"
    NUMBERED = "numbered"
    TABLE = "table"
    NOTE = "note"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell with its place and the number of rows and columns that it covers."""

    row: int
    column: int
    text: str
    rows: int = 1
    columns: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """A block; ``grid`` and ``headers`` (its first rows) are of a table, ``text`` its caption."""

    kind: Kind
    text: str = ""
    level: int = 0
    grid: tuple[tuple[str, ...], ...] = field(default=())
    headers: int = 0

    def cells(self) -> Iterator[Cell]:
        """Yield the cells of a table, without the parts of merged ones."""
        for row, line in enumerate(self.grid):
            for column, text in enumerate(line):
                if text in (LEFT, ABOVE):
                    continue
                columns, rows = 1, 1
                while line[column + columns : column + columns + 1] == (LEFT,):
                    columns += 1
                while row + rows < len(self.grid) and self.grid[row + rows][column] == ABOVE:
                    rows += 1
                yield Cell(row, column, text, rows, columns)


def blocks(body: str) -> list[Block]:
    """Parse a body.

    :raises ValueError: a table's rows differ in length.
    """
    result: list[Block] = []
    for group in re.split(r"\n\s*\n", _CAPTION.sub(r"\1\n|", body.strip("\n"))):
        lines = group.splitlines()
        if lines[0].startswith("```"):
            result.append(Block(Kind.CODE, "\n".join(lines[1:-1])))
        elif any(line.startswith("|") for line in lines):
            result.extend(_table(lines))
        else:
            result.extend(_texts(lines))
    return result


def number(text: str) -> float | int | None:
    """Return the number that a cell is; None if it is anything else."""
    plain = text.replace(",", "")
    if not _NUMBER.fullmatch(plain):
        return None
    return float(plain) if "." in plain else int(plain)


def _table(lines: Sequence[str]) -> Iterator[Block]:
    above = [line for line in lines if not line.startswith("|")]
    caption = "".join(line.removeprefix("Table: ") for line in above)
    rows = [line for line in lines if line.startswith("|")]
    rule = next(place for place, line in enumerate(rows) if _RULE.fullmatch(line))
    grid = tuple(
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for place, line in enumerate(rows)
        if place != rule
    )
    if len({len(line) for line in grid}) != 1:
        raise ValueError(f"rows of different lengths: {rows[0]}")
    yield Block(Kind.TABLE, caption, grid=grid, headers=rule)


def _texts(lines: Sequence[str]) -> Iterator[Block]:
    """Yield headings and items line by line, and joined lines as one paragraph."""
    paragraph: list[str] = []
    for line in [*lines, ""]:
        block = _line(line)
        if block is None and line:
            paragraph.append(line.strip())
            continue
        if paragraph:
            yield Block(Kind.TEXT, " ".join(paragraph))
            paragraph = []
        if block is not None:
            yield block


def _line(line: str) -> Block | None:
    if heading := _HEADING.fullmatch(line):
        return Block(Kind.HEADING, heading[2], len(heading[1]))
    if line.startswith("- "):
        return Block(Kind.BULLET, line[2:])
    if line.startswith("Note: "):
        return Block(Kind.NOTE, line[6:])
    numbered = _NUMBERED.fullmatch(line)
    return Block(Kind.NUMBERED, numbered[1]) if numbered else None
