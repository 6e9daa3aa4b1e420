"""The tables of one generation, in memory, for read-only queries.

They hold only the documents that a reader sees, so that no query can count another one.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Literal

from expertrag_index.errors import SearchError
from expertrag_index.tables.cells import (
    amount_of,
    date_of,
    read_slashed_dates,
    uses_decimal_comma,
)
from expertrag_index.tables.extract import LIST, RawTable, TextDocument, record_cells, tables_in
from expertrag_index.tables.families import family_tables
from expertrag_index.tables.totals import without_totals
from expertrag_index.types import Scalar

DOCUMENT = "_document"
"""Hidden column with the id of the document that a row comes from."""

MOST_CELLS = 2_000_000
"""Most cells of all tables; a store with more has no tables."""

MOST_CHUNKS = 200_000
"""Most chunks of a store that has tables. All of its texts are read for the first question about a
set: 100,000 rows take 4 s and 190 MB."""

_COPIED = 0.5
"""Share of the values of the first column, from which a table is a copy of another one."""

_SAMPLED = 500
"""Rows that tell how a table writes its numbers."""

_MOST_COLUMNS = 60
_MOST_ROWS = 10_000
_SECONDS = 2.0
_LISTED_VALUES = 400
"""Most distinct values of a column that are listed for matching with a question."""

Kind = Literal["number", "date", "text"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``values``: its distinct texts, if there are few. ``unit``: of all its numbers.

    ``is_list``: whether a cell may hold several values, separated by ``LIST``. ``is_key``: whether
    it numbers the rows, or no two rows have the same text. ``span``: the first and the last day.
    """

    name: str
    kind: Kind
    values: tuple[str, ...] = ()
    unit: str = ""
    is_list: bool = False
    is_key: bool = False
    span: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True)
class StoreTable:
    """A table: its name in SQL, what else it is called, its columns and its number of rows.

    ``is_family``: whether a row is a whole document.
    """

    name: str
    names: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: int
    is_family: bool = False

    def column(self, name: str) -> Column | None:
        """Return a column by its name; None if there is none."""
        return next((column for column in self.columns if column.name == name), None)

    def is_key(self, name: str) -> bool:
        """Return whether a column tells rows apart."""
        column = self.column(name)
        return column is not None and column.is_key


@dataclass(frozen=True, slots=True)
class Rows:
    """The result of a query. ``more``: whether rows beyond the limit were cut."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Scalar | None, ...], ...]
    more: bool = False


class TableDatabase:
    """Tables and their rows. Thread-safe; queries can only read."""

    def __init__(self, tables: Iterable[tuple[StoreTable, Sequence[tuple[object, ...]]]]) -> None:
        self._connection = sqlite3.connect(":memory:", check_same_thread=False)
        self._lock = threading.Lock()
        self.tables: tuple[StoreTable, ...] = ()
        self._first: dict[str, str] = {}
        self._tables_of: dict[str, list[StoreTable]] = defaultdict(list)
        for table, rows in tables:
            names = ", ".join(map(quote, (*(column.name for column in table.columns), DOCUMENT)))
            self._connection.execute(f"CREATE TABLE {quote(table.name)} ({names})")
            marks = ", ".join("?" * (len(table.columns) + 1))
            self._connection.executemany(f"INSERT INTO {quote(table.name)} VALUES ({marks})", rows)
            self.tables += (table,)
            self._first[table.name] = str(rows[0][-1]) if rows else ""
            for identifier in {str(row[-1]) for row in rows}:
                self._tables_of[identifier].append(table)
        self._connection.commit()
        self._connection.set_authorizer(_allow_reads)

    @classmethod
    def of(cls, documents: Sequence[TextDocument]) -> TableDatabase:
        """Derive the tables of documents."""
        raw = [*_record_tables(documents), *_text_tables(documents)]
        families = list(family_tables([doc for doc in documents if not doc.is_record]))
        cells = sum(len(row) for table in (*raw, *families) for _, row in table.rows)
        if cells > MOST_CELLS:
            return cls(())
        taken: set[str] = set()
        typed = [_type_table(table, taken) for table in raw]
        typed += [_type_table(table, taken, is_family=True) for table in families]
        return cls(typed)

    def table(self, name: str) -> StoreTable | None:
        """Return a table by its name in SQL; None if there is none."""
        return next((table for table in self.tables if table.name == name), None)

    def tables_of(self, document: str) -> Sequence[StoreTable]:
        """Return the tables that have rows from a document."""
        return self._tables_of.get(document, ())

    def first_document(self, name: str) -> str:
        """Return the id of the document that the first row of a table comes from."""
        return self._first[name]

    def documents_of(self, name: str) -> tuple[str, ...]:
        """Return the ids of the documents that the rows of a table come from."""
        rows = self.run(f"SELECT DISTINCT {DOCUMENT} FROM {quote(name)} ORDER BY 1").rows
        return tuple(str(row[0]) for row in rows)

    def run(self, sql: str, values: Sequence[Scalar] = ()) -> Rows:
        """Run a query.

        :raises SearchError: it is not a query of these tables, or takes longer than 2 s.
        """
        end = time.monotonic() + _SECONDS
        with self._lock:
            self._connection.set_progress_handler(lambda: int(time.monotonic() > end), 10_000)
            try:
                cursor = self._connection.execute(sql, tuple(values))
                rows = cursor.fetchmany(_MOST_ROWS + 1)
            except sqlite3.Error as error:
                raise SearchError(f"the query cannot be run: {error}") from None
            columns = tuple(column[0] for column in cursor.description or ())
        return Rows(columns, tuple(rows[:_MOST_ROWS]), len(rows) > _MOST_ROWS)


def quote(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def _allow_reads(action: int, *_: object) -> int:
    allowed = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION)
    return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY


def _record_tables(documents: Iterable[TextDocument]) -> Iterable[RawTable]:
    """Yield one table for each file of records."""
    files: dict[str, RawTable] = {}
    for document in documents:
        if document.is_record and (cells := record_cells(document)):
            path = document.path
            key = document.source or str(path)
            if key not in files:
                stem = key.rpartition("/")[2].partition(".")[0]
                folder = str(path.parent).rpartition("/")[2]
                files[key] = RawTable(tuple(filter(lambda name: name != ".", (stem, folder))))
            if "#" not in document.id:
                cells = {"id": document.id, **cells}
            files[key].rows.append((document.id, cells))
    return files.values()


def _text_tables(documents: Iterable[TextDocument]) -> list[RawTable]:
    """Return the tables in texts; those with the same header in many documents are one.

    Copies of one table, such as the list of last year, stay apart.
    """
    merged: dict[tuple[object, ...], RawTable] = {}
    shapes: dict[tuple[str, ...], list[RawTable]] = defaultdict(list)
    for document in documents:
        if document.is_record:
            continue
        for table in tables_in(document):
            header = tuple(dict.fromkeys(name for _, row in table.rows for name in row))
            shapes[header].append(table)
    for header, tables in shapes.items():
        for table in tables:
            key: tuple[object, ...] = (header, table.names[0] if len(tables) < 2 else "")
            while (known := merged.setdefault(key, table)) is not table and _repeats(known, table):
                key = (*key, "")
            if known is not table:
                known.rows += table.rows
                known.names = (
                    tuple(name for name in known.names if name in table.names) or known.names
                )
    return list(merged.values())


def _repeats(known: RawTable, table: RawTable) -> bool:
    """Return whether another document's table has mostly the rows of a known one."""
    first = next(iter(known.rows[0][1]))
    values, others = ({cells.get(first) for _, cells in one.rows} for one in (known, table))
    is_other = known.rows[0][0] != table.rows[0][0]
    return is_other and len(values & others) >= _COPIED * min(len(values), len(others))


def _type_table(
    raw: RawTable, taken: set[str], *, is_family: bool = False
) -> tuple[StoreTable, list[tuple[object, ...]]]:
    """Give a table a name and its columns types; returns it with its rows."""
    pairs = raw.rows if is_family else without_totals(raw.rows)
    names = list(dict.fromkeys(name for _, row in pairs for name in row))[:_MOST_COLUMNS]
    names = _distinct_names(names)
    columns: list[Column] = []
    typed: list[list[object]] = []
    comma = uses_decimal_comma(cell for _, row in pairs[:_SAMPLED] for cell in row.values())
    for name in names:
        written = [row.get(name) for _, row in pairs]
        column, cells = _type_column(name, written, decimal_comma=comma)
        columns.append(column)
        typed.append(cells)
    ids = [identifier for identifier, _ in pairs]
    rows = list(zip(*typed, ids, strict=True))
    table = StoreTable(_name(raw.names, taken), raw.names, tuple(columns), len(rows), is_family)
    return table, rows


def _distinct_names(names: Sequence[str]) -> list[str]:
    """Drop names that SQLite cannot tell apart from earlier ones."""
    known: dict[str, str] = {DOCUMENT: ""}
    return [name for name in names if known.setdefault(name.lower(), name) == name]


def _type_column(
    name: str, cells: Sequence[Scalar | None], *, decimal_comma: bool
) -> tuple[Column, list[object]]:
    present = [cell for cell in cells if cell is not None and cell != ""]
    days = [day for cell in present if (day := date_of(cell))]
    if len(days) < len(present):
        days = read_slashed_dates(present) or []
    if days:
        rest = iter(days)
        column = Column(name, "date", span=(min(days), max(days)))
        return column, [next(rest) if cell else None for cell in cells]
    read = partial(amount_of, decimal_comma=decimal_comma)
    amounts = [read(cell) for cell in present]
    units = {amount.unit for amount in amounts if amount}
    if present and all(amounts) and len(units - {""}) <= 1:
        numbers = [None if cell is None else read(cell) for cell in cells]
        unit = next(iter(units - {""}), "")
        plain = [number.number if number else None for number in numbers]
        return Column(name, "number", unit=unit, is_key=_numbers_rows(plain)), list(plain)
    is_list = any(isinstance(cell, str) and LIST in cell for cell in present)
    parts = (part for cell in present for part in (str(cell).split(LIST) if is_list else [cell]))
    texts = list(dict.fromkeys(map(str, parts)))
    values = tuple(texts[:_LISTED_VALUES]) if len(texts) <= _LISTED_VALUES else ()
    is_key = len(texts) == len(cells) > 1
    column = Column(name, "text", values, is_list=is_list, is_key=is_key)
    return column, [None if cell is None else str(cell) for cell in cells]


def _numbers_rows(cells: Sequence[int | float | None]) -> bool:
    """Return whether a column numbers the rows: whole numbers that increase, most of them by 1."""
    numbers = [cell for cell in cells if isinstance(cell, int)]
    steps = [after - before for before, after in pairwise(numbers)]
    if len(numbers) < max(3, len(cells)) or min(steps) <= 0:
        return False
    return steps.count(1) >= len(steps) / 2


def _name(names: Sequence[str], taken: set[str]) -> str:
    base = re.sub(r"\W+", "_", names[0].casefold()).strip("_")[:40] if names else ""
    base = base or "table"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name
