"""CSV files: a document a row, from its text column, or from all its columns if it has none."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain

from expertrag_index.loaders.base import Report, SourceFile, Unreadable, too_large
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.lines import bounded_lines
from expertrag_index.loaders.records import record_document
from expertrag_index.types import Document

_DELIMITERS = ",;\t|"


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a CSV file as a stream; the delimiter is the one that its first line has most of."""
    csv.field_size_limit(file.max_bytes)
    lines = _lines(file)
    first = next(lines)
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(chain([first], lines), delimiter=delimiter, strict=True)
    header = [name.strip() for name in _next(rows, "the header") or ()]
    row = 0
    while (cells := _next(rows, f"row {row + 1}")) is not None:
        row += 1
        try:
            if any(cells):
                yield record_document(file, _fields(header, cells), row)
        except Unreadable as error:
            report(f"row {row}: {error.reason}", error.cure)


def _next(rows: Iterator[list[str]], what: str) -> list[str] | None:
    try:
        return next(rows, None)
    except csv.Error as error:
        cure = "quote fields that hold quotes or line breaks, and double the quotes in them"
        raise Unreadable(f"{what}: {error}", cure) from None


def _lines(file: SourceFile) -> Iterator[str]:
    for number, line in bounded_lines(file):
        if line is None:
            raise too_large(f"line {number}", file.max_bytes)
        try:
            yield decode(line)
        except Unreadable as error:
            raise Unreadable(f"line {number}: {error.reason}", error.cure) from None


def _fields(header: list[str], cells: list[str]) -> dict[str, object]:
    if len(cells) > len(header):
        raise Unreadable(
            f"{len(cells)} fields under {len(header)} columns", "quote fields that hold delimiters"
        )
    fields: dict[str, object] = {
        name: cell for name, cell in zip(header, cells, strict=False) if name and cell
    }
    if "text" not in header:
        fields["text"] = "\n".join(f"{name}: {cell}" for name, cell in fields.items())
    return fields
