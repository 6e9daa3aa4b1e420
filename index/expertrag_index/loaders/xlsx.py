"""Reads Excel files: a page for each sheet, a line for each row, with values and not formulas."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils import column_index_from_string
from openpyxl.worksheet._reader import FORMULA_TAG, WorkSheetParser

from expertrag_index.loaders.archive import unpacked
from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    note_hidden,
    require_text,
    too_large,
)
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import heading
from expertrag_index.loaders.pages import joined
from expertrag_index.types import Document, MetadataValue

MOST_CELLS = 2_000_000
"""Cells with a value in one file: some ten seconds."""
_BETWEEN = " | "
_TRUE = ("1", "true")
_MIDNIGHT = datetime.time()

Row = dict[int, str]
"""The cells of a row that have a value, by column from 1."""


@dataclass(slots=True)
class _Tally:
    """What was met in the sheets of a file."""

    max_bytes: int
    cells: int = 0
    text_bytes: int = 0
    formulas: int = 0
    """Formulas without a stored value."""
    hidden: Counter[str] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        self.cells += len(row)
        self.text_bytes += sum(map(len, row.values()))
        if self.cells > MOST_CELLS:
            raise Unreadable(
                f"it has more than {MOST_CELLS:,} cells", "save its sheets as .csv, or split it"
            )
        if self.text_bytes > self.max_bytes:
            raise too_large("the text of the sheets", self.max_bytes)


class _Sheet(WorkSheetParser):  # type: ignore[misc]  # openpyxl has no types
    """Streams the cells that a sheet has.

    The public way fills the gaps: a single cell in the last row and column of a sheet makes it
    return 17 billion of them. It also says nothing of hidden rows.
    """

    formulas = 0

    def parse_cell(self, element: Any) -> dict[str, Any]:
        """Parse a cell, and count a formula whose value was not stored."""
        cell: dict[str, Any] = super().parse_cell(element)
        self.formulas += cell["value"] is None and element.find(FORMULA_TAG) is not None
        return cell


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a workbook as one document with pages; its title is the title property, or its name."""
    tally = _Tally(file.max_bytes)
    with unpacked(file, "XLSX") as data:
        book = load_workbook(data, read_only=True, data_only=True, keep_links=False)
        pages = [_page(sheet, tally) for sheet in book.worksheets]
        properties = book.properties
        title, author = (properties.title or "").strip(), (properties.creator or "").strip()
        book.close()
    note_hidden(report, tally.hidden)
    if tally.formulas:
        reason = f"the value of {tally.formulas:,} formulas is not stored in the file"
        report(reason, "open it in a spreadsheet program and save it", notice=True)
    text, starts = joined(pages)
    metadata: dict[str, MetadataValue] = {"pages": len(pages)}
    if author and author != "openpyxl":
        metadata["author"] = author
    made = document(file, FrontMatter(title, None, metadata), "", require_text(text))
    yield replace(made, page_starts=starts)


def _page(sheet: Any, tally: _Tally) -> str:
    if sheet.sheet_state != "visible":
        tally.hidden["hidden sheet"] += 1
        return ""
    rows = list(_rows(sheet, tally))
    return "\n".join([heading(1, sheet.title), "", *_lines(rows)]) if rows else ""


def _rows(sheet: Any, tally: _Tally) -> Iterator[Row]:
    """Yield the rows that have a value and are shown."""
    book = sheet.parent
    with sheet._get_source() as source:
        parser = _Sheet(
            source,
            sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
        )
        hidden_columns: list[range] | None = None
        for number, cells in parser.parse():
            if hidden_columns is None:  # columns are described before the first row
                hidden_columns = list(_hidden(parser.column_dimensions))
            row = {cell["column"]: text for cell in cells if (text := _text(cell["value"]))}
            tally.add(row)
            about = parser.row_dimensions.pop(str(number), {})
            kept = {at: text for at, text in row.items() if not _within(at, hidden_columns)}
            if kept and about.get("hidden") in _TRUE:
                tally.hidden["hidden row"] += 1
                continue
            if len(kept) < len(row):
                tally.hidden["cell of a hidden column"] += len(row) - len(kept)
            if kept:
                yield kept
    tally.formulas += parser.formulas


def _hidden(columns: dict[str, dict[str, str]]) -> Iterator[range]:
    for first, column in columns.items():
        if column.get("hidden") in _TRUE:
            start = column_index_from_string(first)
            yield range(start, int(column.get("max", start)) + 1)


def _within(column: int, ranges: Sequence[range]) -> bool:
    return any(column in each for each in ranges)


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Write a line for each row; under a header each cell is written after its column's name."""
    names = _header(rows)
    for number, row in enumerate(rows):
        if names and number:
            yield _BETWEEN.join(
                f"{names[at]}: {text}" if at in names else text for at, text in sorted(row.items())
            )
        else:
            yield _BETWEEN.join(text for _, text in sorted(row.items()))


def _header(rows: Sequence[Row]) -> Row:
    """Return the names of columns if the first row has them: different texts over every column."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return {}
    first = rows[0]
    names = list(first.values())
    if len(set(names)) < len(names) or any(not any(map(str.isalpha, name)) for name in names):
        return {}
    widest = max(len(row) for row in rows[1:])
    return first if widest <= len(first) and all(len(name) <= 100 for name in names) else {}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"  # what a spreadsheet shows of .1 + .2
    if isinstance(value, datetime.datetime):
        return (value.date() if value.time() == _MIDNIGHT else value).isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return " ".join(str(value).split())
