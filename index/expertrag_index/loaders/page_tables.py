"""Writes tables of pages: a line for each row, with the names of its columns in each cell.

Labels that span several rows are written in each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from expertrag_index.loaders.cells import is_worth_naming
from expertrag_index.loaders.columns import (
    NO_HEADER,
    SAMPLE,
    Header,
    TableCell,
    header_of,
    read_header,
)
from expertrag_index.loaders.page_nodes import Element, Node, children, has_text, text_in
from expertrag_index.loaders.page_writer import PageWriter

_MOST_SPANS = 8
_LONGEST_LABEL = 100
_MOST_COLUMNS = 1_000
_MOST_NODES = 64
"""Nodes of a cell whose text is looked at to find a header."""
_CELLS = ("td", "th")
_BODIES = ("thead", "tbody", "tfoot")


class _Span(NamedTuple):
    rows: int  # that follow
    label: str


class _Row(NamedTuple):
    element: Element
    body: str  # the name of what holds it
    cells: list[Element]


@dataclass(slots=True)
class Table:
    """The state of a table that is being read.

    A row of a single cell is layout: its cell is text like any other.

    :param header: where the rows begin that name columns.
    """

    writer: PageWriter
    header: frozenset[int]
    is_row: bool = False
    _is_broken: bool = False  # the last cell of the row is not in its line
    _column: int = 0
    _row: int = 0  # the mark from before it
    _spans: dict[int, _Span] = field(default_factory=dict)
    _naming: list[list[TableCell]] = field(default_factory=list)  # the last rows that name columns
    _is_naming: bool = False
    _names: Header = NO_HEADER
    _begin: int = 0  # how much was written before the table
    _added: int = 0  # characters of names

    def __post_init__(self) -> None:
        """Remember where the table begins."""
        self._begin = self.writer.length

    def begin_row(self, row: Element, cells: int) -> None:
        """Begin a row with this number of cells of its own."""
        self.is_row = cells > 0 and cells + len(self._spans) > 1
        self._is_broken, self._column, self._row = False, 0, self.writer.mark()
        names = row.begin in self.header
        if names and not self._is_naming:
            self._naming, self._names = [], NO_HEADER
        elif self._is_naming and not names:
            self._names = read_header(self._naming)
        self._is_naming = names
        if names:
            self._naming.append([])

    def begin_cell(self, cell: Element, flat: bool) -> int:
        """Begin a cell, after the labels before it; return its column."""
        self._write_spans(self._column)
        self._begin_cell(TableCell("", self._column, _width(cell)), flat)
        self._is_broken = not flat
        return self._column

    def end_cell(self, cell: Element, column: int, flat: bool, mark: int) -> None:
        """End a cell.

        :param mark: the writer's, from before the cell.
        """
        self._end_cell(flat, mark)
        self._column = column + _width(cell)
        text = self.writer.since(mark) if flat else ""
        if self._is_naming:
            self._naming[-1].append(TableCell(text, column, _width(cell)))
        rows = _number(cell.get("rowspan")) - 1
        if rows > 0 and len(self._spans) < _MOST_SPANS:
            label = text.removeprefix(self._label(TableCell("", column, _width(cell))))
            label = label if len(label) <= _LONGEST_LABEL else ""
            self._spans[column] = _Span(rows + 1, label)

    def end_row(self) -> None:
        """Write the labels after the last cell of the row, and end it."""
        if self.is_row:
            self._write_spans(self._column)
            self.writer.end_row()
            self._spans = {
                column: _Span(span.rows - 1, span.label)
                for column, span in self._spans.items()
                if span.rows > 1
            }
        self.is_row = False

    def _write_spans(self, column: int) -> None:
        while (span := self._spans.get(column)) is not None:
            mark = self.writer.mark()
            self._begin_cell(TableCell("", column), flat=True)
            self.writer.repeat(span.label)
            self._end_cell(flat=True, mark=mark)
            self._is_broken = False
            column += 1
        self._column = column

    def _begin_cell(self, cell: TableCell, flat: bool) -> None:
        is_empty = self.writer.mark() == self._row if self._names.names else cell.column == 0
        label = self._label(cell) if flat else ""
        written = self.writer.length - self._begin
        if label and is_worth_naming(self._added + len(label), written):
            self._added += len(label)
        else:
            label = ""
        self.writer.begin_cell(is_empty or self._is_broken, flat, label)

    def _end_cell(self, flat: bool, mark: int) -> None:
        self.writer.end_cell(flat)
        if self._names.names and self.writer.mark() == mark:
            self.writer.end_row()  # an empty cell leaves no name

    def _label(self, cell: TableCell) -> str:
        name = self._names.name_of(cell)
        return f"{name}: " if name else ""


def header_rows(nodes: Sequence[Node], table: Element) -> frozenset[int]:
    """Return where the rows of a table begin that name its columns.

    These are rows of ``<th>`` or in ``<thead>`` above others. In a table without any, it is the
    first row if it is bold or stands over numbers: most such tables are layout.
    """
    rows = list(_rows(nodes, table))
    marked = [at for at, row in enumerate(rows[:-1]) if _is_marked(nodes, row)]
    if marked or any(cell.name == "th" for row in rows for cell in row.cells):
        return frozenset(rows[at].element.begin for at in marked)
    sample = rows[: SAMPLE + 1]
    if not all(_is_small(cell) for row in sample for cell in row.cells):
        return frozenset()
    cells = [_cells(nodes, row) for row in sample]
    bold = [at for at, row in enumerate(sample) if all(_is_bold(nodes, cell) for cell in row.cells)]
    header = header_of(cells, styled=bold, needs_numbers=True)
    return frozenset(row.element.begin for row in rows[header.start : header.end])


def _rows(nodes: Sequence[Node], table: Element) -> Iterator[_Row]:
    for each in children(nodes, table):
        for row in children(nodes, each) if each.name in _BODIES else [each]:
            if row.name == "tr":
                cells = [cell for cell in children(nodes, row) if cell.name in _CELLS]
                yield _Row(row, each.name, cells)


def _is_marked(nodes: Sequence[Node], row: _Row) -> bool:
    """Whether a row is a header; the first column may have no name."""
    if len(row.cells) < 2 or row.body == "tfoot":
        return False
    first, *others = row.cells
    is_blank = len(others) > 1 and _is_small(first) and not has_text(nodes, first)
    named = (first.name == "th" or is_blank) and all(cell.name == "th" for cell in others)
    return row.body == "thead" or named


def _cells(nodes: Sequence[Node], row: _Row) -> list[TableCell]:
    cells: list[TableCell] = []
    column = 0
    for cell in row.cells:
        text = " ".join(text_in(nodes, cell, _MOST_NODES).split())
        cells.append(TableCell(text, column, _width(cell)))
        column += _width(cell)
    return cells


def _is_bold(nodes: Sequence[Node], cell: Element) -> bool:
    """Whether all text of a cell is bold."""
    position = cell.begin + 1
    while position < cell.end:
        node = nodes[position]
        if isinstance(node, Element):
            position = node.end if node.name in ("b", "strong") else position
        elif node.strip():
            return False
        position += 1
    return True


def _is_small(cell: Element) -> bool:
    return cell.end - cell.begin <= _MOST_NODES


def _width(cell: Element) -> int:
    return min(_number(cell.get("colspan")), _MOST_COLUMNS)


def _number(text: str) -> int:
    return int(text) or 1 if text.isascii() and text.isdigit() and len(text) < 6 else 1
