"""Render a report for the terminal: aligned tables, at most 100 columns wide, and short notes."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.blocks import Block, Note, Table
from expertrag_lab.eval.report.sections import build

WIDTH = 100
LEAST_CELL = 12
_BESIDE = 28
"""Characters of a line that the longest cell leaves to the other cells."""

_GAP = "  "


def render(report: Mapping[str, JSON]) -> str:
    """Render the parts that fit a terminal; the other formats have the details."""
    part = build(report)
    lines = [part.title, *_wrap(part.facts)]
    for section in part.sections:
        blocks = list(_blocks(section.blocks))
        if blocks and not section.detail:
            lines += ["", clean(section.title), *blocks]
    left_out = [section.title for section in part.sections if section.detail]
    if left_out:
        lines += ["", *_wrap(f"With --out DIR or --json also: {_join(left_out)}.")]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def table(table: Table, width: int = WIDTH) -> Iterator[str]:
    """Align a table: words to the left, figures to the right.

    If it is too wide, the remaining columns follow below, with the words repeated.
    """
    cells = [[clean(cell, width) for cell in row] for row in (table.columns, *table.rows)]
    widths = _widths(cells, table.labels, width)
    labels = range(table.labels)
    for position, figures in enumerate(_chunks(widths, table.labels, width)):
        if position:
            yield ""
        for row in cells:
            words = [_cut(row[column], widths[column]).ljust(widths[column]) for column in labels]
            yield _GAP.join([*words, *(row[c].rjust(widths[c]) for c in figures)]).rstrip()


def clean(text: str, width: int = WIDTH) -> str:
    """Make one short, printable line of a text, so that data sets cannot control the terminal."""
    return _cut(_printable(text), width - _BESIDE)


def _printable(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _widths(cells: Sequence[Sequence[str]], labels: int, width: int) -> list[int]:
    """Width of each column; if a line is too long, word columns are cut, the last one first."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    line = sum(widths[:labels]) + len(_GAP) * (labels - 1)
    if len(widths) > labels:
        line += len(_GAP) + max(widths[labels:])
    for column in range(labels - 1, -1, -1):
        spared = min(max(0, line - width), max(0, widths[column] - LEAST_CELL))
        widths[column] -= spared
        line -= spared
    return widths


def _blocks(blocks: Sequence[Block]) -> Iterator[str]:
    """Render blocks one below the other, with an empty line before a further table."""
    for position, block in enumerate(blocks):
        if position and isinstance(block, Table):
            yield ""
        yield from _block(block)


def _block(block: Block) -> Iterable[str]:
    if isinstance(block, Table):
        return table(block)
    return _wrap(block.text) if isinstance(block, Note) else ()


def _chunks(widths: Sequence[int], labels: int, width: int) -> Iterator[list[int]]:
    """Split the columns of figures into chunks that fit next to the words."""
    label_width = sum(widths[:labels]) + len(_GAP) * (labels - 1)
    chunk: list[int] = []
    used = label_width
    for column in range(labels, len(widths)):
        needed = len(_GAP) + widths[column]
        if chunk and used + needed > width:
            yield chunk
            chunk, used = [], label_width
        chunk.append(column)
        used += needed
    yield chunk


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(_printable(text), WIDTH, break_on_hyphens=False)


def _join(titles: Sequence[str]) -> str:
    names = [title[:1].lower() + title[1:] for title in titles]
    shown = names if len(names) <= 4 else [*names[:3], f"{len(names) - 3} more parts"]
    return ", ".join(shown)
