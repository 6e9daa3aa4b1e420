"""Reads CSV files: one document per row, from its text columns, or all columns if it has none."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain

from expertrag_index.loaders.base import Report, SourceFile, Unreadable
from expertrag_index.loaders.csv_layout import layout_of
from expertrag_index.loaders.csv_rows import Row, rows_of
from expertrag_index.loaders.lines import decode_lines
from expertrag_index.loaders.records import record_document
from expertrag_index.tables.cells import uses_decimal_comma
from expertrag_index.types import Document

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # "007" and telephone numbers stay text
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")
_THOUSANDS = re.compile(r"-?[1-9][0-9]{0,2}(?:\.[0-9]{3})+(?:,[0-9]{1,15})?")
_DECIMAL_COMMA = re.compile(r"-?[0-9]{1,15},[0-9]{1,15}")
_HEAD_LINES, _HEAD_CHARS = 100, 1 << 20
"""What the layout of a file is told by."""


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Stream a CSV file. Rows above its table, and rows that do not fit it, are kept as text."""
    csv.field_size_limit(max(file.max_bytes, 1))
    lines = _lines(file, report)
    head = _head(lines)
    layout = layout_of(head, file.max_bytes)
    rows = rows_of(chain(head, lines), layout.delimiter, file.max_bytes)
    above = [next(rows).text for _ in range(layout.above)][layout.names_delimiter :]
    if any(map(str.strip, above)):
        yield record_document(file, "\n".join(above).strip("\n"), 0, report)
    if layout.has_header:
        next(rows)
    comma = layout.delimiter != "," and uses_decimal_comma(
        cell for line in head for cell in line.rstrip().split(layout.delimiter)
    )
    typed = _number_with_comma if comma else _number
    odd = first_odd = 0
    for number, row in enumerate(rows, 1):
        record = _record(row, layout.columns)
        if not record:
            continue
        if isinstance(record, str):
            odd += 1
            first_odd = first_odd or number
        try:
            yield record_document(file, record, number, report, typed=typed)
        except Unreadable as error:
            report(f"row {number}: {error.reason}", error.cure)
    if odd and len(layout.columns) > 1:
        which = f"row {first_odd}" if odd == 1 else f"{odd:,} rows, the first row {first_odd},"
        report(
            f"{which} cannot be split into {len(layout.columns)} columns: kept as text",
            "quote fields that contain delimiters or quotes, and double the quotes in them",
            notice=True,
        )


def _lines(file: SourceFile, report: Report) -> Iterator[str]:
    for _, line in decode_lines(file, report):
        yield from io.StringIO(line, newline="\n")


def _head(lines: Iterator[str]) -> list[str]:
    head: list[str] = []
    length = 0
    for line in lines:
        head.append(line)
        length += len(line)
        if len(head) == _HEAD_LINES or length > _HEAD_CHARS:
            break
    return head


def _record(row: Row, columns: tuple[str, ...]) -> dict[str, str] | str:
    """Return the cells of a row by column; its text if they cannot be told apart."""
    cells = row.cells
    while cells and not cells[-1].strip():
        cells = cells[:-1]
    if not row.is_whole or len(cells) > len(columns):
        return row.text
    return {name: cell for name, cell in zip(columns, cells, strict=False) if cell}


def _number(cell: str) -> str | int | float:
    """Convert a cell that is written as a number, so that filters compare it as a number."""
    if _INTEGER.fullmatch(cell):
        return int(cell)
    return float(cell) if _DECIMAL.fullmatch(cell) else cell


def _number_with_comma(cell: str) -> str | int | float:
    """Convert a cell of a file that writes 1.234,50."""
    if _THOUSANDS.fullmatch(cell):
        cell = cell.replace(".", "")
    return _number(cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell)
