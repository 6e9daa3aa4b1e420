"""Finds out how a CSV file is laid out: its delimiter, the lines above its table, its columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from expertrag_index.loaders.csv_rows import Row, rows_of

_DELIMITERS = "\t;|,"
"""The rarest in texts and numbers first."""
_NAMED_DELIMITER = re.compile(r'"?sep=([^\w"\n])"?\s*', re.IGNORECASE)  # for Excel
_NUMBER = re.compile(r"[-+]?[0-9][0-9.,:/ -]*%?")  # also dates and times
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_REGULAR = 0.6
"""Least share of rows as wide as most, if the file is a table of several columns."""


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """How a file is laid out.

    ``above``: number of rows above the table. ``columns``: their names, each once. ``has_header``:
    whether the first row of the table names them. ``names_delimiter``: whether the first row of the
    file names the delimiter, as Excel's ``sep=;``.
    """

    delimiter: str
    above: int
    columns: tuple[str, ...]
    has_header: bool
    names_delimiter: bool = False


def layout_of(lines: Sequence[str], most_chars: int) -> CsvLayout:
    """Find the layout of a file by its first lines."""
    named = _NAMED_DELIMITER.fullmatch(lines[0]) if lines else None
    if named:
        rows = list(rows_of(lines[1:], named[1], most_chars))
        below = _layout(rows, named[1])
        return CsvLayout(
            named[1], below.above + 1, below.columns, below.has_header, names_delimiter=True
        )
    tries = {each: list(rows_of(lines, each, most_chars)) for each in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda each: _regular(tries[each]))
    if _regular(tries[best]) == (0, 0):
        best = max(_DELIMITERS, key=lines[0].count) if lines else ","
    return _layout(tries[best], best)


def _regular(rows: Sequence[Row]) -> tuple[int, int]:
    """Return how many rows have as many cells as most, and how many; (0, 0) if not a table."""
    widths = Counter(len(row.cells) for row in rows if not row.is_blank)
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    is_table = width > 1 and count >= _REGULAR * widths.total()
    return (count, width) if is_table else (0, 0)


def _layout(rows: Sequence[Row], delimiter: str) -> CsvLayout:
    width = max(_regular(rows)[1], 1)
    above = _rows_above(rows, width)
    if above == len(rows):
        return CsvLayout(delimiter, 0, (), has_header=False)
    first, below = rows[above].cells, [row.cells for row in rows[above + 1 :] if not row.is_blank]
    if not below:
        return CsvLayout(delimiter, above, (), has_header=False)
    has_header = _names_columns(first, below)
    names = [name.strip() for name in first] if has_header else [""] * max(width, len(first))
    if has_header and len(names) + 1 == width and any(cells[-1] for cells in below):
        names.insert(0, "")  # as R writes tables: the names of rows have no column
    return CsvLayout(delimiter, above, _unique(names), has_header)


def _rows_above(rows: Sequence[Row], width: int) -> int:
    """Count the rows above the table: a title, comments. They are narrower, or marked by ``#``."""
    for number, row in enumerate(rows):
        below = rows[number + 1].cells if number + 1 < len(rows) else []
        if row.cells[:1] and row.cells[0].startswith("# ") and len(below) >= width:
            continue
        is_short_header = len(row.cells) == width - 1 > 1 and len(below) == width
        is_wide = len(row.cells) >= width or is_short_header
        if is_wide and not row.is_blank:
            return number
    return len(rows)


def _names_columns(first: Sequence[str], below: Sequence[Sequence[str]]) -> bool:
    """Whether a row names columns: it has no number above numbers, nor a value that comes again."""
    starts = [[str(number + start) for number in range(len(first))] for start in (0, 1)]
    if list(first) in starts:
        return True
    below = [cells for cells in below if cells != first]
    for column, name in enumerate(first):
        values = [cells[column] for cells in below if column < len(cells) and cells[column]]
        if not name or not values:
            continue
        if _NUMBER.fullmatch(name):
            numbers = sum(_NUMBER.fullmatch(value) is not None for value in values)
            if not _YEAR.fullmatch(name) and 2 * numbers > len(values):
                return False
        elif values.count(name) > 1:
            return False
    return True


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    """Name unnamed columns by their number, and number columns of equal names."""
    unique: dict[str, None] = {}
    for column, given in enumerate(names, 1):
        name = given or f"column {column}"
        number = 1
        while name in unique:
            number += 1
            name = f"{given or 'column'} {number}"
        unique[name] = None
    return tuple(unique)
