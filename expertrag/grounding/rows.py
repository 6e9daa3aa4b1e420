"""The sentences and rows of a passage, with the names and units of columns."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from expertrag.grounding.values import Unit, units_named, whole_dates
from expertrag.grounding.wording import Content, Wording, with_column_units, wording
from expertrag_index.build.atoms import atoms
from expertrag_retriever.types import Passage

_BAR = " | "  # between the cells of a row
_NAME_ENDS = ": "  # of a cell that is written with the name of its column


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a row, and the name of its column, empty if it has none.

    ``units``: base units that the column's name or the cell gives.
    """

    name: str
    named: Wording
    value: Wording
    units: frozenset[str] = frozenset()


Row = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class SentenceSpan:
    """One or two adjacent sentences, or a row; character offsets into the passage's text."""

    start: int
    end: int
    content: Content
    rows: tuple[Row, ...] = ()


def sentence_spans(passage: Passage) -> Iterator[SentenceSpan]:
    """Read the sentences and rows of a passage.

    A number without a unit has the units of its cell and column. Without these, it has the units of
    the title and of sentences without numbers: "Figures in million EUR".
    """
    places = whole_dates(passage.text, atoms(passage.text))
    texts = [passage.text[start:end] for start, end in places]
    named, general = _units(passage.title, texts)
    header: list[str] = []
    for (start, end), text, units in zip(places, texts, named, strict=True):
        if _BAR not in text:
            header = []
            yield SentenceSpan(start, end, with_column_units(wording(text), units or general))
            continue
        cells = _cells(text)
        names = header if len(header) == len(cells) else [""] * len(cells)
        row = tuple(
            _cell(name, cell, general) for name, cell in zip(names, cells, strict=True) if cell
        )
        if not header and not any(cell.name for cell in row):
            header = cells
        yield SentenceSpan(start, end, join_contents(_content(cell) for cell in row), (row,))


def with_pairs(singles: Sequence[SentenceSpan], title: Content) -> Iterator[SentenceSpan]:
    """Yield every span and every pair of adjacent sentences, with the words of the title."""
    for first, second in zip_longest(singles, singles[1:]):
        content = first.content | title
        yield SentenceSpan(first.start, first.end, content, first.rows)
        if second and not (first.rows and second.rows):  # two rows are about two things
            rows = first.rows or second.rows
            yield SentenceSpan(first.start, second.end, content | second.content, rows)


def join_contents(contents: Iterable[Content]) -> Content:
    """Return the content of several texts taken together."""
    return functools.reduce(operator.or_, contents, Content())


def _units(title: str, texts: Sequence[str]) -> tuple[list[list[Unit]], list[Unit]]:
    """Return the units that each text names, and the units of the title and of headings."""
    if not units_named("\n".join((title, *texts))):
        return [[] for _ in texts], []
    named = [[] if _BAR in text else units_named(text) for text in texts]
    general = units_named(title)
    for text, units in zip(texts, named, strict=True):
        if units and not wording(text).numbers:
            general += units
    return named, general


def _cells(row: str) -> list[str]:
    cells = [cell.strip() for cell in row.split("|")]
    return cells[1:-1] if len(cells) > 2 and not cells[0] and not cells[-1] else cells


def _cell(header: str, text: str, general: Sequence[Unit]) -> Cell:
    """Read a cell, whose name stands in it or in the first row of the table."""
    name, _, value = text.rpartition(_NAME_ENDS)
    name = name or header
    units = units_named(f"{name}{_NAME_ENDS}{value}")
    read = with_column_units(wording(value), units or general, named=bool(units))
    return Cell(name, wording(name), read, frozenset(unit.base for unit in units))


def _content(cell: Cell) -> Content:
    return cell.named | cell.value if cell.name else cell.value
