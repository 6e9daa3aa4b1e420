"""Reads Excel files: a page for each sheet, a line for each row, with values as they are shown."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from lxml import etree

from expertrag_index.loaders.base import Report, SourceFile, note_hidden, require_text
from expertrag_index.loaders.cells import Rows, Tally, write_rows
from expertrag_index.loaders.frontmatter import document
from expertrag_index.loaders.headings import escape_headings, heading
from expertrag_index.loaders.ooxml import Package, open_package, qn
from expertrag_index.loaders.pages import join_pages
from expertrag_index.loaders.shapes_xlsx import comments_of, drawing_lines
from expertrag_index.loaders.sheets_xlsx import (
    Sheet,
    area_of,
    read_shared_strings,
    rows_of,
    styles_of,
)
from expertrag_index.types import Document

_TRUE = ("1", "true")
_PROGRAM = "openpyxl"
"""The author that a program fills in."""


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a workbook as one document with pages; its title is the title property, or its name."""
    with open_package(file, "XLSX", report) as package:
        book = _Book(package, file.max_bytes)
        pages = list(book.pages())
        matter = package.matter
    note_hidden(report, book.hidden)
    if book.formulas:
        reason = f"the value of {book.formulas:,} formulas is not stored in the file"
        report(reason, "open it in a spreadsheet program and save it", notice=True)
    text, starts = join_pages(pages)
    author = {key: value for key, value in matter.metadata.items() if value != _PROGRAM}
    matter = replace(matter, metadata={"pages": len(pages), **author})
    made = document(file, matter, "", require_text(text))
    yield replace(made, page_starts=starts)


class _Book:
    """A workbook. ``hidden`` counts what it does not show, ``formulas`` those without a value."""

    def __init__(self, package: Package, max_bytes: int) -> None:
        self.hidden: Counter[str] = Counter()
        self.formulas = 0
        self._package = package
        self._tally = Tally(max_bytes)
        self._root = package.root(package.main)
        about = self._root.find(qn("s:workbookPr")) if self._root is not None else None
        styles = self._find_related("styles")
        self._styles = styles_of(
            package.root(styles[0]) if styles else None,
            from_1904=about is not None and about.get("date1904") in _TRUE,
        )
        self._strings = list(self._read_strings())

    def pages(self) -> Iterator[str]:
        """Yield the text of each sheet; empty for a hidden one."""
        for number, (title, name, shown) in enumerate(self._sheets(), 1):
            if shown:
                blocks = list(self._blocks(name, f"sheet {number}"))
                yield "\n".join([heading(1, title), "", *blocks]) if blocks else ""
            else:
                self.hidden["hidden sheet"] += 1
                yield ""

    def _find_related(self, kind: str) -> list[str]:
        return self._package.find_related(self._package.main, kind)

    def _read_strings(self) -> Iterator[str]:
        for name in self._find_related("sharedStrings"):
            try:
                yield from read_shared_strings(self._package.data(name))
            except etree.XMLSyntaxError:
                self._package.report_damage(name)

    def _sheets(self) -> list[tuple[str, str, bool]]:
        """Return the title and the part of each sheet, and whether it is shown."""
        package = self._package
        listed = list(self._root.iter(qn("s:sheet"))) if self._root is not None else []
        names = [package.target(package.main, each.get(qn("r:id"))) for each in listed]
        if not any(names):
            return [
                (f"Sheet {at}", name, True)
                for at, name in enumerate(self._find_related("worksheet"), 1)
            ]
        return [
            (each.get("name", ""), name, each.get("state", "visible") == "visible")
            for each, name in zip(listed, names, strict=True)
        ]

    def _blocks(self, name: str, where: str) -> Iterator[str]:
        """Yield the lines of a sheet: its rows, each with the comments on it, then its drawings."""
        rows, sheet = self._read_rows(name, where)
        comments = comments_of(self._package, name, where)
        for number in sheet.hidden_rows:
            comments.pop(number, None)
        widths = {(area.top, area.left): area.right - area.left + 1 for area in sheet.merged}
        for number, line in write_rows(rows, widths, sheet.headers):
            yield escape_headings(line)
            yield from comments.pop(number, [])
        self.hidden.update(sheet.hidden)
        self.formulas += sheet.formulas
        for number in sorted(comments):
            yield from comments[number]
        hidden_sheets = [title for title, _, shown in self._sheets() if not shown]
        yield from map(escape_headings, drawing_lines(self._package, name, hidden_sheets, where))
        yield from sheet.margins

    def _read_rows(self, name: str, where: str) -> tuple[Rows, Sheet]:
        sheet = Sheet()
        for table in self._package.find_related(name, "table"):
            root = self._package.root(table, where)
            for each in root.iter(qn("s:autoFilter")) if root is not None else ():
                area = area_of(each.get("ref", ""))
                sheet.filtered += [area] if area and len(each) else []
                sheet.headers.update([area.top] if area else [])
        rows: Rows = {}
        hidden: list[int] = []
        try:
            data = self._package.data(name)
            for number, row, is_hidden in rows_of(data, self._strings, self._styles, sheet):
                self._tally.add(list(row.values()))
                rows.setdefault(number, {}).update(row)
                hidden += [number] if is_hidden else []
        except etree.XMLSyntaxError:
            self._package.report_damage(name, where)
        _drop_hidden(rows, hidden, sheet)
        self._repeat_merged(rows, sheet)
        return rows, sheet

    def _repeat_merged(self, rows: Rows, sheet: Sheet) -> None:
        """Write a label that is merged over rows in each of them."""
        numbers = sorted(rows)
        for area in sheet.merged:
            label = rows.get(area.top, {}).get(area.left)
            if label is not None:
                for number in numbers[bisect_left(numbers, area.top + 1) :]:
                    if number > area.bottom:
                        break
                    self._tally.add([label])
                    rows[number].setdefault(area.left, label)


def _drop_hidden(rows: Rows, hidden: Sequence[int], sheet: Sheet) -> None:
    """Drop rows and cells that are hidden for good: not by a filter, which anyone can clear."""
    for number in dict.fromkeys(hidden):
        if not any(area.top <= number <= area.bottom for area in sheet.filtered):
            del rows[number]
            sheet.hidden_rows.add(number)
    if sheet.hidden_rows:
        sheet.hidden["hidden row"] = len(sheet.hidden_rows)
    if not sheet.columns:
        return
    for number, row in list(rows.items()):
        shown = {at: text for at, text in row.items() if not any(at in of for of in sheet.columns)}
        if len(shown) < len(row):
            sheet.hidden["cell of a hidden column"] += len(row) - len(shown)
            rows[number] = shown
        if not shown:
            del rows[number]
