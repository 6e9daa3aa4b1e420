"""The cells of spreadsheets as lines: ``Ship: Tug | Fee: 120``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from expertrag_index.loaders.base import Unreadable, too_large

MOST_CELLS = 2_000_000
"""Cells with a value in one file: some ten seconds."""
_BETWEEN = " | "

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


def written_rows(rows: Rows) -> Iterator[tuple[int, str]]:
    """Write a line for each row; under a header each cell is written after its column's name."""
    names = _header(list(rows.values()))
    for at, (number, row) in enumerate(rows.items()):
        cells = sorted(row.items())
        if names and at:
            yield (
                number,
                _BETWEEN.join(
                    f"{names[column]}: {text}" if column in names else text
                    for column, text in cells
                ),
            )
        else:
            yield number, _BETWEEN.join(text for _, text in cells)


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
