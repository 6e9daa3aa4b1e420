"""Finds the rows of a table that name its columns.

A file that marks them is believed. Otherwise the first row over all columns names them if its texts
differ, and no value below repeats one or has its form. Two columns may also be names and their
values (``Owner | Finance``): they have a header only if it is bold, or stands over numbers.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

SAMPLE = 100
"""Rows that tell where the header is."""
_MOST_ABOVE = 10
"""Rows that may stand above a header, such as the title of a sheet."""
_MOST_HEADER_ROWS = 4
_LONGEST_NAME = 100
_MOST_COVERED = 64
"""Columns of a cell that are looked at: files may say that it covers a hundred million."""
_SHARE_OF_NUMBERS = 0.7
_YEAR = re.compile(r"(?:19|20)\d\d")
_AMOUNT = re.compile(
    r"\W*+(?:[^\W\d_]{3}(?![^\W\d_])\W*+)?\d"
    r"(?:[\W\d]*+[^\W\d_]{1,8}(?![^\W\d_])){0,2}[\W\d]*+"
)
"""A number with its unit or currency: ``€50``, ``EUR 50``, ``12 months``, ``2 GB/s``."""
_NUMBER = re.compile(r"[-+\u2212]?\d+(?:[.,' ]\d+)*")
_LETTERS = re.compile(r"[^\W\d_]+")
_NO_NAME = re.compile(r":\s*\Z|@|://")


class TableCell(NamedTuple):
    """A cell of a row.

    ``column``: the first of the columns that it covers; ``goes_on``: it is merged with the cell
    above, whose text it has.
    """

    text: str
    column: int
    width: int = 1
    goes_on: bool = False


TableRow = Sequence[TableCell]


class Header(NamedTuple):
    """The names of columns, and the rows that hold them: from ``start`` to before ``end``."""

    start: int = 0
    end: int = 0
    names: Mapping[int, str] = {}

    def name_of(self, cell: TableCell) -> str:
        """Return the names of the columns that a cell covers; empty if they have none."""
        columns = range(cell.column, cell.column + min(cell.width, _MOST_COVERED))
        name = ", ".join(dict.fromkeys(self.names[at] for at in columns if at in self.names))
        return name if len(name) <= _LONGEST_NAME else ""


NO_HEADER = Header()


def header_of(
    rows: Sequence[TableRow],
    marked: int | None = None,
    *,
    styled: Collection[int] = (),
    needs_numbers: bool = False,
) -> Header:
    """Find the header of a table; it is empty if there is none.

    :param marked: how many rows the file marks as a header; None if it does not tell.
    :param styled: rows that are set apart, as in bold.
    :param needs_numbers: a header without a mark stands over numbers: the table may be layout.
    """
    start = _find_marked_row(rows, marked) if marked is not None else _widest_row(rows[:SAMPLE])
    if start is None:
        return NO_HEADER
    end = _end(rows, start, marked)
    columns = sorted({cell.column for row in rows for cell in row})
    names = _names(rows[start:end], columns)
    values = _values(row for row in rows[end : end + SAMPLE] if not _repeats(row, rows[end - 1]))
    if not names or not values:
        return NO_HEADER
    if marked is None:
        is_apart = start in styled and end not in styled
        needs_numbers = (needs_numbers or len(columns) < 3) and not is_apart
        if not _may_name(names, values) or (needs_numbers and not _over_numbers(names, values)):
            return NO_HEADER
    return Header(start, end, _short(names))


def _texts(row: TableRow) -> list[TableCell]:
    return [cell for cell in row if cell.text]


def _find_marked_row(rows: Sequence[TableRow], marked: int) -> int | None:
    """Return the first of the marked rows that is not a single text over the table."""
    for at, row in enumerate(rows[:marked]):
        texts = _texts(row)
        if len(texts) > 1 or (texts and texts[0].width == 1 and len(row) > 1):
            return at
    return None


def _widest_row(rows: Sequence[TableRow]) -> int | None:
    """Return the first row whose texts cover all columns; the first column may have no name."""
    result = None
    columns: set[int] = set()
    for at in reversed(range(len(rows))):
        texts = _texts(rows[at])
        columns.update(cell.column for cell in texts)
        ordered = sorted(columns)
        covered = {each for cell in texts for each in _select_covered(ordered, cell)}
        if at < _MOST_ABOVE and len(texts) > 1 and columns - covered <= {ordered[0]}:
            result = at
    return result


def _end(rows: Sequence[TableRow], start: int, marked: int | None) -> int:
    """Return the row after the header: a cell over columns or rows has names below it."""
    end = max(start + 1, marked or 0)
    while end < min(len(rows), start + _MOST_HEADER_ROWS) and _goes_on(rows[end - 1], rows[end]):
        end += 1
    return end


def _goes_on(above: TableRow, row: TableRow) -> bool:
    """Whether a row below one of a header is of the header as well."""
    if any(cell.goes_on and cell.text for cell in row):
        return True
    wide = [cell for cell in above if cell.width > 1 and cell.text]
    texts = {cell.column: cell.text for cell in _texts(row)}
    columns = sorted(texts)
    below = [_select_covered(columns, cell) for cell in wide]
    if not wide or not all(len(each) > 1 for each in below):
        return False
    if any(_AMOUNT.fullmatch(text) and not _YEAR.fullmatch(text) for text in texts.values()):
        return False
    beside = (cell for cell in above if cell.width == 1 and cell.text)
    return all(texts.get(cell.column, cell.text) == cell.text for cell in beside)


def _select_covered(columns: Sequence[int], cell: TableCell) -> Sequence[int]:
    """Return the columns, which are in order, that a cell covers."""
    first = bisect_left(columns, cell.column)
    end = cell.column + min(cell.width, _MOST_COVERED)
    return columns[first : bisect_left(columns, end, first)]


def read_header(rows: Sequence[TableRow]) -> Header:
    """Return the names that rows give to columns; none if the rows are too many for a header."""
    columns = {
        at
        for row in rows
        for cell in row
        for at in range(cell.column, cell.column + min(cell.width, _MOST_COVERED))
    }
    names = _names(rows, sorted(columns)) if len(rows) <= _MOST_HEADER_ROWS else {}
    return Header(0, len(rows), _short(names))


def _names(header: Sequence[TableRow], columns: Sequence[int]) -> dict[int, str]:
    """Join what the rows of a header say of each column."""
    parts: dict[int, list[str]] = {}
    for row in header:
        texts = _texts(row)
        for cell in texts if len(texts) > 1 or len(row) > 1 else ():
            for column in _select_covered(columns, cell):
                said = parts.setdefault(column, [])
                said += [cell.text] if cell.text not in said else []
    return {column: " ".join(said) for column, said in parts.items()}


def _short(names: Mapping[int, str]) -> dict[int, str]:
    named = {column: name.rstrip(": ") for column, name in names.items()}
    return {column: name for column, name in named.items() if 0 < len(name) <= _LONGEST_NAME}


def _repeats(row: TableRow, header: TableRow) -> bool:
    """Whether a row is the header again, as at the top of a page."""
    return [cell.text for cell in row] == [cell.text for cell in header]


def _values(rows: Iterable[TableRow]) -> dict[int, list[str]]:
    """Return the texts of columns in some rows."""
    values: dict[int, list[str]] = {}
    for row in rows:
        for cell in _texts(row):
            values.setdefault(cell.column, []).append(cell.text)
    return values


def _may_name(names: Mapping[int, str], values: Mapping[int, Sequence[str]]) -> bool:
    """Whether texts can be names: nothing below one is the same, or has the same form."""
    if len(names) < 2 or len(set(names.values())) < len(names):
        return False
    for column, name in names.items():
        below = values.get(column, ())
        is_year = _YEAR.fullmatch(name) is not None
        if not (is_year or any(map(str.isalpha, name))) or _NO_NAME.search(name):
            return False
        if name in below or (is_year and any(map(_YEAR.fullmatch, below))):
            return False
        if len(name) > _LONGEST_NAME:
            return False
        has_digits = any(map(str.isdigit, name)) and not is_year
        if has_digits and _form(name) in map(_form, below):
            return False
    return True


def _form(text: str) -> str:
    return _NUMBER.sub("9", _LETTERS.sub("a", text))


def _over_numbers(names: Mapping[int, str], values: Mapping[int, Sequence[str]]) -> bool:
    """Whether a column after the first has numbers of one form below a name that is not one."""
    _, *others = sorted(names)
    for column in others:
        below = values.get(column, ())
        forms = Counter(_form(text) for text in below if _AMOUNT.fullmatch(text))
        most = max(forms.values(), default=0)
        is_name = not _AMOUNT.fullmatch(names[column]) or _YEAR.fullmatch(names[column])
        if is_name and most >= max(2, _SHARE_OF_NUMBERS * len(below)):
            return True
    return False
