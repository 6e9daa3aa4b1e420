"""Describe a table to a language model: its columns, their types, and values like the question's.

A model writes a value as the table has it only if it has seen it. Of a column with many values, it
sees those that share letters with a word of the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from expertrag.queries.conditions import unit_of_column
from expertrag.queries.linking import TableLink
from expertrag.queries.units import convert
from expertrag.queries.vocabulary import fold, words_of
from expertrag_index.tables.database import Column
from expertrag_index.tables.families import FILE

_MOST_COLUMNS, _ALL_VALUES, _SOME_VALUES, _LONGEST_VALUE = 16, 8, 3, 40
_CLOSEST_VALUES = 4
"""Values like a word of the question that are shown of a column with many values."""

_LEAST_ALIKE = 0.6
"""Share of the trigrams of the shorter of two words that both have, from which they are alike."""

_LEAST_LETTERS = 3
_TYPES = {"number": "REAL", "date": "DATE", "text": "TEXT"}


def describe_table(link: TableLink) -> str:
    """Return the CREATE TABLE of a linked table, with values and units in comments."""
    table = link.table
    told = [column for column in table.columns if not (table.is_family and _tells_nothing(column))]
    columns = "\n".join(_describe_column(column, link) for column in told[:_MOST_COLUMNS])
    names = "; ".join(dict.fromkeys(table.names))
    return f"CREATE TABLE {table.name} ( -- {names}, {table.rows} rows\n{columns}\n);"


def _tells_nothing(column: Column) -> bool:
    """Return whether a field is the path of a file, or the same for every document."""
    return column.name == FILE or (column.kind == "text" and len(column.values) == 1)


def _describe_column(column: Column, link: TableLink) -> str:
    note = column.unit
    if column.kind == "date":
        note = f"from '{column.span[0]}' to '{column.span[1]}'"
    elif column.kind == "text":
        shown = _choose_values(column, link)
        more = ", …" if len(column.values) > len(shown) else ""
        note = ", ".join(f"'{value[:_LONGEST_VALUE]}'" for value in shown) + more
    return f"  {simple_name(column.name)} {_TYPES[column.kind]}," + (f" -- {note}" if note else "")


def _choose_values(column: Column, link: TableLink) -> Sequence[str]:
    """Return all values, or those most like a word of the question and a few others."""
    if len(column.values) <= _ALL_VALUES:
        return column.values
    asked = [
        _trigrams(word.folded)
        for word in link.parts.words
        if not word.asks and len(word.text) >= _LEAST_LETTERS
    ]
    alike = {value: _likeness(value, asked) for value in column.values}
    close = [value for value, share in alike.items() if share >= _LEAST_ALIKE]
    close = sorted(close, key=alike.__getitem__, reverse=True)[:_CLOSEST_VALUES]
    others = [value for value in column.values[:_SOME_VALUES] if value not in close]
    return [*close, *others[: max(0, _SOME_VALUES - len(close))]]


def _likeness(value: str, asked: Sequence[frozenset[str]]) -> float:
    words = (_trigrams(fold(word.text)) for word in words_of(value)[:6])
    return max((_share(word, one) for word in words for one in asked), default=0.0)


def _trigrams(word: str) -> frozenset[str]:
    padded = f" {word} "
    return frozenset(padded[at : at + 3] for at in range(len(padded) - 2))


def _share(first: frozenset[str], second: frozenset[str]) -> float:
    return len(first & second) / max(1, min(len(first), len(second)))


def simple_name(name: str) -> str:
    """Return a name that needs no quotes in SQL."""
    return re.sub(r"\W+", "_", name).strip("_") or "column"


def convert_numbers(link: TableLink) -> Iterator[str]:
    """Yield what a number of the question is in the unit of a column: "10 hours is 600 minutes"."""
    units = {unit_of_column(column) for column in link.table.columns if column.kind == "number"}
    for number in link.parts.numbers:
        for unit in sorted(filter(None, units)):
            value = convert(number.number, number.unit, unit)
            if value != number.number and value >= 1:
                yield f"{number.number:g} {number.unit} is {value:.6g} {unit}"
