"""Writes the tables of PDF pages with the names of their columns in each row.

A table is what lines rule, or three rows or more whose texts stand at the same edges below names.
The text around tables stays as it is, and so does what may be no table.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pypdfium2 import PdfTextPage

from expertrag_index.loaders.aligned_pdf import find_aligned_tables, places_of_numbers
from expertrag_index.loaders.cells import write_under
from expertrag_index.loaders.chars_pdf import Char, PdfCell, PdfTable, chars_of, table_of, text_of
from expertrag_index.loaders.columns import NO_HEADER, Header, TableCell, header_of
from expertrag_index.loaders.rules_pdf import Grid, GridCell

_NEAR = 3.0
_SHARE_OF_CELLS = 0.7
"""Cells with text in a ruled table without a header; a form has fewer."""
_MARGIN = 200
"""Characters between a table and the edge of its page over which it may go on."""
_MOST_CHARACTERS = 20_000


@dataclass(slots=True)
class PdfTables:
    """Writes the pages of a file in their order: a table may go on over pages."""

    _edges: Sequence[float] = ()  # of the table at the end of the page before
    _header: Header = NO_HEADER

    def page_text(self, page: PdfTextPage, grids: Sequence[Grid]) -> str:
        """Return the text of a page.

        :param grids: the tables that lines rule.
        """
        whole = str(page.get_text_range())
        above, self._edges = self._edges, ()
        if not 0 < page.count_chars() <= _MOST_CHARACTERS:
            return whole
        text, end = "", 0
        for table in sorted(_tables(page, grids, whole)):
            before = _between(page, end, table.start)
            goes_on = end == 0 and len(before) < _MARGIN and _are_near(above, table.edges)
            if lines := self._write(table, goes_on):
                before = before.removeprefix("\r\n") if text else before
                text = _end_line(_end_line(text) + before) + lines
                end = table.end
        rest = _between(page, end, page.count_chars())
        if len(rest) > _MARGIN:
            self._edges = ()
        return _end_line(text) + rest.removeprefix("\r\n") if text else whole

    def _write(self, table: PdfTable, goes_on: bool) -> str:
        """Write a table; empty if nothing tells that it is one."""
        header = header_of(table.rows, styled=table.bold, needs_numbers=not table.is_ruled)
        if goes_on and header.start not in table.bold:
            header = Header(names=self._header.names)
        if not header.names and not (table.is_ruled and _is_full(table.rows)):
            return ""
        self._edges, self._header = table.edges, header
        return write_under(table.rows, header)


def _tables(page: PdfTextPage, grids: Sequence[Grid], whole: str) -> Iterator[PdfTable]:
    """Yield the tables of a page, none of which overlaps another."""
    ruled: list[PdfTable] = []
    chars = chars_of(page, [range(page.count_chars())]) if grids else []
    for table in _find_ruled_tables(page, chars, grids, whole):
        if all(table.end <= other.start or other.end <= table.start for other in ruled):
            ruled.append(table)
    yield from ruled
    taken = {at for table in ruled for at in range(table.start, table.end)}
    if len(whole) == page.count_chars():  # else a character is not at its place
        chars = chars_of(page, places_of_numbers(whole))
        yield from find_aligned_tables(
            page, [char for char in chars if char.at not in taken], whole
        )


def _find_ruled_tables(
    page: PdfTextPage, chars: Sequence[Char], grids: Sequence[Grid], whole: str
) -> Iterator[PdfTable]:
    for grid in grids:
        inside = _by_cell(chars, grid)
        rows = list(_rows(grid, inside, whole))
        if sum(sum(bool(each.chars) for each in row) > 1 for row in rows) < 2:
            continue
        table = table_of(page, rows, grid.xs, is_ruled=True)
        count = sum(table.start <= char.at < table.end for char in chars)
        if count == sum(map(len, inside.values())):  # no other text stands between the cells
            yield table


def _by_cell(chars: Sequence[Char], grid: Grid) -> dict[GridCell, list[Char]]:
    at = {
        (row, column): cell
        for cell in grid.cells
        for row in range(cell.top, cell.bottom)
        for column in range(cell.left, cell.right)
    }
    downwards = [-y for y in grid.ys]
    inside: dict[GridCell, list[Char]] = {}
    for char in chars:
        column = bisect_right(grid.xs, (char.left + char.right) / 2) - 1
        row = bisect_right(downwards, -(char.low + char.high) / 2) - 1
        if (cell := at.get((row, column))) is not None:
            inside.setdefault(cell, []).append(char)
    return inside


def _rows(grid: Grid, inside: dict[GridCell, list[Char]], whole: str) -> Iterator[list[PdfCell]]:
    """Yield the rows that have a text; a cell over several rows is in each of them."""
    texts = {cell: text_of(chars, whole) for cell, chars in inside.items()}
    for row in range(len(grid.ys) - 1):
        cells = [
            PdfCell(
                TableCell(texts.get(each, ""), each.left, each.right - each.left, each.top < row),
                inside.get(each, []) if each.top == row else [],
            )
            for each in sorted(grid.cells, key=lambda cell: cell.left)
            if each.top <= row < each.bottom
        ]
        if any(each.chars for each in cells):
            yield cells


def _is_full(rows: Sequence[Sequence[TableCell]]) -> bool:
    cells = [cell for row in rows for cell in row]
    return sum(bool(cell.text) for cell in cells) >= _SHARE_OF_CELLS * len(cells)


def _are_near(one: Sequence[float], other: Sequence[float]) -> bool:
    return len(one) == len(other) > 0 and all(
        abs(a - b) <= _NEAR for a, b in zip(one, other, strict=True)
    )


def _between(page: PdfTextPage, start: int, end: int) -> str:
    return str(page.get_text_range(start, end - start)) if start < end else ""


def _end_line(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"
