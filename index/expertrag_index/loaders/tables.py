"""Reads CSV files: one document per row, from its text columns, or all columns if it has none."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import chain

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, too_large
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.lines import bounded_lines
from expertrag_index.loaders.records import record_document
from expertrag_index.types import Document

_DELIMITERS = ",;\t|"
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")  # "007" and telephone numbers stay text
_DECIMAL = re.compile(r"-?[0-9]{1,15}\.[0-9]{1,15}")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Stream a CSV file; the delimiter is the candidate that is most frequent in its first line."""
    csv.field_size_limit(file.max_bytes)
    lines = _lines(file, report)
    first = next(lines)
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    header = [name.strip() for name in _next(rows, "the header") or ()]
    row = 0
    while (cells := _next(rows, f"row {row + 1}")) is not None:
        row += 1
        try:
            if any(cells):
                yield record_document(file, _fields(header, cells), row, typed=_number)
        except Unreadable as error:
            report(f"row {row}: {error.reason}", error.cure)


def _next(rows: Iterator[list[str]], what: str) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        cure = "quote fields that contain quotes or line breaks, and double the quotes in them"
        raise Unreadable(f"{what}: {error}", cure) from None


def _lines(file: SourceFile, report: Report) -> Iterator[str]:
    for number, line in bounded_lines(file, report):
        if line is None:
            raise too_large(f"line {number}", file.max_bytes)
        try:
            yield decode(line)
        except Unreadable as error:
            raise Unreadable(f"line {number}: {error.reason}", error.cure) from None


def _fields(header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) > len(header):
        raise Unreadable(
            f"{len(cells)} fields under {len(header)} columns",
            "quote fields that contain delimiters",
        )
    return {name: cell for name, cell in zip(header, cells, strict=False) if name and cell}


def _number(cell: str) -> str | int | float:
    """Convert a cell that is written as a number, so that filters compare it as a number."""
    if _INTEGER.fullmatch(cell):
        return int(cell)
    return float(cell) if _DECIMAL.fullmatch(cell) else cell
