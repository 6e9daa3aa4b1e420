"""Writes tables of pages: a line for each row, with the labels that span several rows in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from expertrag_index.loaders.page_nodes import Element
from expertrag_index.loaders.page_writer import PageWriter

_MOST_SPANS = 8
_LONGEST_LABEL = 100
_MOST_COLUMNS = 1_000


class _Span(NamedTuple):
    rows: int  # that follow
    label: str


@dataclass(slots=True)
class Table:
    """The state of a table that is being read.

    A row of a single cell is layout: its cell is text like any other.
    """

    writer: PageWriter
    is_row: bool = False
    _is_broken: bool = False  # the last cell of the row is not in its line
    _column: int = 0
    _spans: dict[int, _Span] = field(default_factory=dict)

    def begin_row(self, cells: int) -> None:
        """Begin a row with this number of cells of its own."""
        self.is_row = cells > 0 and cells + len(self._spans) > 1
        self._is_broken, self._column = False, 0

    def begin_cell(self, flat: bool) -> int:
        """Begin a cell, after the labels before it; return its column."""
        self._write_spans(self._column)
        self.writer.begin_cell(self._column == 0 or self._is_broken, flat)
        self._is_broken = not flat
        return self._column

    def end_cell(self, cell: Element, column: int, flat: bool, mark: int) -> None:
        """End a cell.

        :param mark: the writer's, from before the cell.
        """
        self.writer.end_cell(flat)
        self._column = column + min(_number(cell.get("colspan")), _MOST_COLUMNS)
        rows = _number(cell.get("rowspan")) - 1
        if rows > 0 and len(self._spans) < _MOST_SPANS:
            label = self.writer.since(mark) if flat else ""
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
            self.writer.begin_cell(column == 0 or self._is_broken, flat=True)
            self.writer.repeat(span.label)
            self.writer.end_cell(flat=True)
            self._is_broken = False
            column += 1
        self._column = column


def _number(text: str) -> int:
    return int(text) or 1 if text.isascii() and text.isdigit() and len(text) < 6 else 1
