"""Writes the rows of tables so that each can be read alone: ``Ship: Tug | Fee: 120``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from expertrag_index.loaders.base import Unreadable, too_large
from expertrag_index.loaders.columns import SAMPLE, Header, TableCell, TableRow, header_of

MOST_CELLS = 2_000_000
"""Cells with a value in one file: some ten seconds."""
BETWEEN = " | "
_MOST_GROWTH = 3
"""Times the text of a table may grow by the names of its columns."""
_SHORT_TABLE = 20_000
"""Characters that names may add to any table."""
_CAPTION = re.compile(
    r"^(?!#)((?:tab(?:le|elle|leau|la|ela|ella|el|ell|\.)[^\S\n]?\d[^\n]{0,200}|[^\n]{1,200}:))\n\n"
    r"(?=[^\n]+ \| )",
    re.MULTILINE | re.IGNORECASE,
)

Row = dict[int, str]
"""The cells of a row that have a value, by column from 1."""
Rows = dict[int, Row]
"""The rows of a sheet that are shown, by number."""


@dataclass(slots=True)
class Tally:
    """What was met in the sheets of a file."""

    max_bytes: int
    cells: int = 0
    text_bytes: int = 0

    def add(self, texts: Sequence[str]) -> None:
        """Count cells that are written.

        :raises Unreadable: there are too many, or their text is too large.
        """
        self.cells += len(texts)
        self.text_bytes += sum(map(len, texts))
        if self.cells > MOST_CELLS:
            raise Unreadable(
                f"it has more than {MOST_CELLS:,} cells", "save its sheets as .csv, or split it"
            )
        if self.text_bytes > self.max_bytes:
            raise too_large("the text of the sheets", self.max_bytes)


def write_rows(
    rows: Rows, widths: Mapping[tuple[int, int], int], styled: Collection[int] = ()
) -> Iterator[tuple[int, str]]:
    """Write a line for each row of a sheet.

    :param widths: how many columns a merged cell covers, by the numbers of its row and column.
    :param styled: numbers of rows that are set apart, as in bold.
    """

    def cells_of(number: int) -> list[TableCell]:
        return [
            TableCell(text, column, widths.get((number, column), 1))
            for column, text in sorted(rows[number].items())
        ]

    sample = list(islice(rows, SAMPLE))
    apart = [at for at, number in enumerate(sample) if number in styled]
    header = header_of([cells_of(number) for number in sample], styled=apart)
    for at, number in enumerate(rows):
        cells = cells_of(number)
        yield number, _name_cells(cells, header) if at >= header.end > 0 else _plain(cells)


def write_table(
    rows: Sequence[TableRow], marked: int | None = None, *, styled: Collection[int] = ()
) -> str:
    """Write a line for each row of a table in a text; parameters as of :func:`header_of`."""
    return write_under(rows, header_of(rows, marked, styled=styled))


def write_under(rows: Sequence[TableRow], header: Header) -> str:
    """Write a line for each row of a table with this header."""
    plain = [_plain(cells) for cells in rows]
    if not header.names:
        return "\n".join(plain)
    named = [
        line if at < header.end else _name_cells(cells, header)
        for at, (line, cells) in enumerate(zip(plain, rows, strict=True))
    ]
    length = sum(map(len, plain))
    added = sum(map(len, named)) - length
    return "\n".join(named if is_worth_naming(added, length) else plain)


def with_captions(text: str) -> str:
    """Join the caption above a table, or the words that announce it, to its first row.

    A chunk ends rather at a blank line than between rows.
    """
    return _CAPTION.sub(r"\1\n", text) if BETWEEN in text else text


def is_worth_naming(added: int, length: int) -> bool:
    """Whether names of columns may add so many characters to a table of this length."""
    return added <= max(_SHORT_TABLE, (_MOST_GROWTH - 1) * length)


def _plain(cells: TableRow) -> str:
    return BETWEEN.join(cell.text for cell in cells)


def _name_cells(cells: TableRow, header: Header) -> str:
    """Write each cell after the name of its column; one over all columns is a line of its own."""
    texts = [cell for cell in cells if cell.text]
    if len(texts) == 1 and texts[0].width > 1:
        return texts[0].text
    named = ((header.name_of(cell), cell.text) for cell in texts)
    return BETWEEN.join(text if name in ("", text) else f"{name}: {text}" for name, text in named)
