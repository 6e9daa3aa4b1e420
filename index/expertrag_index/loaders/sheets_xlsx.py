"""Streams the cells of an Excel sheet as they are shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lxml import etree

from expertrag_index.loaders.cells import Row
from expertrag_index.loaders.number_formats import (
    BUILT_IN,
    GENERAL,
    format_number,
    format_text,
    plain_number,
)
from expertrag_index.loaders.ooxml import as_stream, number_of, qn

_ROW, _CELL, _VALUE, _FORMULA, _INLINE = (qn(f"s:{name}") for name in ("row", "c", "v", "f", "is"))
_TEXT, _ITEM, _PHONETIC = qn("s:t"), qn("s:si"), qn("s:rPh")
_COLUMN, _MERGED, _FILTER = qn("s:col"), qn("s:mergeCell"), qn("s:autoFilter")
_REFERENCE = re.compile(r"\$?([A-Za-z]{1,3})\$?(\d{1,7})")
_CODE = re.compile(r'&(?:"[^"]*"|K[0-9A-Fa-f]{6}|K\d\d[+-]\d{3}|\d+|[A-Za-z])')
"""The font, the colour, the side and the fields of a header."""
_TRUE = ("1", "true")


class Area(NamedTuple):
    """A rectangle of cells; the numbers of its rows and columns, from 1."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(slots=True)
class Styles:
    """How the numbers of a workbook are shown."""

    formats: list[str] = field(default_factory=list)
    """The format of each style of a cell."""
    from_1904: bool = False
    bold: frozenset[int] = frozenset()
    """The styles of cells in bold."""


@dataclass(slots=True)
class Sheet:
    """What a sheet holds besides rows; it is complete once they are read."""

    hidden: Counter[str] = field(default_factory=Counter)
    merged: list[Area] = field(default_factory=list)
    filtered: list[Area] = field(default_factory=list)
    """Areas whose hidden rows are those that a filter does not show at present."""
    margins: list[str] = field(default_factory=list)
    """Headers and footers of printed pages, each one once."""
    formulas: int = 0
    """Formulas without a stored value."""
    columns: list[range] = field(default_factory=list)
    """Hidden columns."""
    headers: set[int] = field(default_factory=set)
    """The numbers of rows that are set apart: in bold, frozen, of a filter or a table."""
    hidden_rows: set[int] = field(default_factory=set)
    """The numbers of the rows that are left out."""


def area_of(reference: str) -> Area | None:
    """Return the area of a reference such as ``A1:C9`` or ``B2``; None if it is not one."""
    corners = [_REFERENCE.fullmatch(corner) for corner in reference.split(":")]
    if len(corners) > 2 or not all(corners):
        return None
    places = [(int(corner[2]), _column(corner[1])) for corner in corners if corner]
    (top, left), (bottom, right) = places[0], places[-1]
    return Area(top, left, bottom, right)


def read_shared_strings(data: bytes) -> Iterator[str]:
    """Yield the texts that cells refer to by number."""
    for item in _elements(data, _ITEM):
        yield _plain_text(item)
        _forget(item)


def styles_of(root: Any, *, from_1904: bool) -> Styles:
    """Return how the cells of a workbook are shown.

    :param root: the part that defines the styles; None if there is none.
    """
    if root is None:
        return Styles([], from_1904)
    fonts = root.find(qn("s:fonts"))
    bold = [font.find(qn("s:b")) is not None for font in fonts] if fonts is not None else []
    own = {
        number_of(each.get("numFmtId")): each.get("formatCode", GENERAL)
        for each in root.iter(qn("s:numFmt"))
    }
    formats = BUILT_IN | own
    styles = root.find(qn("s:cellXfs"))
    cells = list(styles) if styles is not None else []
    return Styles(
        [formats.get(number_of(each.get("numFmtId")), GENERAL) for each in cells],
        from_1904,
        frozenset(
            at for at, each in enumerate(cells) if any(bold[number_of(each.get("fontId")) :][:1])
        ),
    )


def rows_of(
    data: bytes, strings: list[str], styles: Styles, sheet: Sheet
) -> Iterator[tuple[int, Row, bool]]:
    """Yield the rows that have a value: their number, their cells, and whether they are hidden.

    Rows of a collapsed outline are not hidden.

    :param sheet: takes up what else the sheet holds.
    :raises etree.XMLSyntaxError: the sheet is damaged; the rows before that are yielded.
    """
    number = 0
    text = _cell_text(strings, styles, sheet)
    for element in _elements(data, _ROW, *_ABOUT):
        if element.tag != _ROW:
            _ABOUT[element.tag](element, sheet)
            continue
        number = number_of(element.get("r"), number + 1)
        row: Row = {}
        column = 0
        is_bold = True
        for cell in element.iterchildren(_CELL):
            match = _REFERENCE.fullmatch(cell.get("r", ""))
            column = _column(match[1]) if match else column + 1
            if shown := text(cell):
                row[column] = shown
                is_bold &= number_of(cell.get("s")) in styles.bold
        hidden = element.get("hidden") in _TRUE and number_of(element.get("outlineLevel")) == 0
        _forget(element)
        sheet.headers.update([number] if row and is_bold else [])
        if row:
            yield number, row, hidden


def _elements(data: bytes, *tags: str) -> Iterator[Any]:
    parser = etree.iterparse(
        as_stream(data), tag=tags, resolve_entities=False, no_network=True, recover=False
    )
    for _, element in parser:
        yield element


def _forget(element: Any) -> None:
    """Free an element and those before it."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def _column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _plain_text(element: Any) -> str:
    """Return the text of a string, without the reading of its characters."""
    parts = [
        each.text or ""
        for each in element.iter(_TEXT)
        if each.getparent() is not None and each.getparent().tag != _PHONETIC
    ]
    return " ".join("".join(parts).split())


def _cell_text(strings: list[str], styles: Styles, sheet: Sheet) -> Callable[[Any], str]:
    """Return what writes the value of a cell."""

    def write(cell: Any) -> str:
        kind = cell.get("t", "n")
        value = cell.findtext(_VALUE)
        at = number_of(cell.get("s"))
        code = styles.formats[at] if at < len(styles.formats) else GENERAL
        if not value:
            inline = cell.find(_INLINE)
            if inline is not None:
                return format_text(_plain_text(inline), code)
            sheet.formulas += kind != "str" and cell.find(_FORMULA) is not None
            return ""
        if kind == "s":
            index = number_of(value, -1)
            return format_text(strings[index], code) if 0 <= index < len(strings) else ""
        if kind == "b":
            return "TRUE" if value.strip() in _TRUE else "FALSE"
        if kind != "n":
            return format_text(" ".join(value.split()), code)
        return _format_number(value, code, styles)

    return write


def _format_number(text: str, code: str, styles: Styles) -> str:
    try:
        value = float(text)
    except ValueError:
        return " ".join(text.split())
    if code == GENERAL:
        return plain_number(value)
    return format_number(value, code, from_1904=styles.from_1904)


def _take_column(element: Any, sheet: Sheet) -> None:
    if element.get("hidden") in _TRUE and number_of(element.get("outlineLevel")) == 0:
        start = number_of(element.get("min"), 1)
        sheet.columns.append(range(start, number_of(element.get("max"), start) + 1))


def _take_merged(element: Any, sheet: Sheet) -> None:
    area = area_of(element.get("ref", ""))
    sheet.merged += [area] if area else []


def _take_filter(element: Any, sheet: Sheet) -> None:
    area = area_of(element.get("ref", ""))
    sheet.filtered += [area] if area and len(element) else []
    sheet.headers.update([area.top] if area else [])


def _take_pane(element: Any, sheet: Sheet) -> None:
    sheet.headers.update([number_of(element.get("ySplit"))] if element.get("state") else [])


def _take_properties(element: Any, sheet: Sheet) -> None:
    if element.get("filterMode") in _TRUE:  # also one that copies no arrows into the sheet
        sheet.filtered.append(Area(1, 1, 1 << 20, 1 << 14))


def _take_margin(element: Any, sheet: Sheet) -> None:
    text = _CODE.sub(" ", (element.text or "").replace("&&", "\0")).replace("\0", "&")
    text = " ".join(text.split())
    if any(map(str.isalpha, text)) and text not in sheet.margins:
        sheet.margins.append(text)


_ABOUT: dict[str, Callable[[Any, Sheet], None]] = {
    _COLUMN: _take_column,
    _MERGED: _take_merged,
    _FILTER: _take_filter,
    qn("s:pane"): _take_pane,
    qn("s:sheetPr"): _take_properties,
    **{
        qn(f"s:{pages}{margin}"): _take_margin
        for pages in ("odd", "even", "first")
        for margin in ("Header", "Footer")
    },
}
"""What takes up the elements around the rows."""
