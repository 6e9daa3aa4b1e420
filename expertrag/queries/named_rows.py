"""Find the rows of tables that a question names: by an id, a title, a first or a full name.

A word such as "open" is a value of many rows and names none. A row is named if what the question
says of it is in no other row of its table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from expertrag.queries.linking import split_name
from expertrag.queries.vocabulary import Word, words_of
from expertrag_index.errors import SearchError
from expertrag_index.tables.database import DOCUMENT, Column, StoreTable, TableDatabase, quote
from expertrag_index.tables.families import DOCUMENTS
from expertrag_index.types import Scalar

MOST_ROWS = 4
"""Most rows that are returned."""

_MOST_WORDS = 64
"""Words of a question that may name a row; a longer text names too much."""

_LONGEST_NUMBER = 15
"""Digits of a number that a table may hold as a number."""

_LONGEST = 6
"""Most words of a value that names a row."""

_LONGEST_NAME = 3
"""Most words of a person's name."""

_ACRONYM = 3
"""Fewest letters of an acronym."""

_SHORT_NUMBER = 2
"""Digits of a number that may stand for anything."""

_SHARE = 0.8
"""Share of the information in the number of a row, in nats, that its names must have."""


@dataclass(frozen=True, slots=True)
class NamedRow:
    """A row that a question names: its document, and its texts by column.

    ``name``: the words of the question that name it; ``score``: their information in nats.
    """

    document: str
    texts: Mapping[str, str]
    name: str
    score: float

    @property
    def words(self) -> frozenset[str]:
        """The words that name the row."""
        return frozenset(self.name.split())

    @property
    def is_sure(self) -> bool:
        """Whether a full name, a title, an id or an acronym names the row, not a common word."""
        is_acronym = self.name.isupper() and len(self.name) >= _ACRONYM
        return len(self.words) > 1 or is_acronym or any(map(str.isdigit, self.name))


def find_named_rows(question: str, database: TableDatabase) -> list[NamedRow]:
    """Return the rows that a question names, the best named first; at most ``MOST_ROWS``.

    Tables are read as a whole: 100,000 rows of eight columns take 60 ms.
    """
    phrases = _phrases(words_of(question)[:_MOST_WORDS])
    if not phrases:
        return []
    tables = (table for table in database.tables if table.names != DOCUMENTS)
    rows = chain.from_iterable(_find_in(table, phrases, database) for table in tables)
    best = sorted(rows, key=lambda row: (len(row.words), row.score), reverse=True)
    return [row for row in best if not any(row.words < other.words for other in best)][:MOST_ROWS]


def _phrases(words: Sequence[Word]) -> dict[str, str]:
    """Return the phrases of a question that may be a value, by their folded form."""
    phrases: dict[str, str] = {}
    for start in range(len(words)):
        for some in (words[start : start + length] for length in range(1, _LONGEST + 1)):
            if not all(word.asks for word in some):
                text = " ".join(word.text.removesuffix("'s") for word in some)
                phrases.setdefault(_plain(text), text)
    return phrases


def _plain(text: str) -> str:
    return " ".join(word.folded for word in words_of(text))


def _find_in(
    table: StoreTable, phrases: dict[str, str], database: TableDatabase
) -> Iterator[NamedRow]:
    """Yield the rows of a table that the question names as no other row of it."""
    columns = [column for column in table.columns if _may_name(column, phrases)]
    if not columns:
        return
    names = [column.name for column in table.columns]
    numbers = [int(one) for one in phrases if one.isdecimal() and len(one) <= _LONGEST_NUMBER]
    wanted: list[Scalar] = [*phrases.values(), *numbers]
    begun = [f"{text} %" for text in phrases.values() if _is_first_name(text)]
    marks = ", ".join("?" * len(wanted))
    test = " OR ".join([f"{{0}} IN ({marks})", *["{0} LIKE ?"] * len(begun)])
    where = " OR ".join(test.format(f"{quote(one.name)} COLLATE NOCASE") for one in columns)
    sql = f"SELECT {', '.join(map(quote, (*names, DOCUMENT)))} FROM {quote(table.name)} WHERE "
    try:
        rows = database.run(sql + where, [*wanted, *begun] * len(columns)).rows
    except SearchError:  # a table too large to be read in time
        return
    own = [names.index(column.name) for column in columns]
    matches = [
        frozenset(_match_phrase(row[at], names[at], phrases) for at in own) - {""} for row in rows
    ]
    counts = Counter(chain.from_iterable(matches))
    distinct = Counter(matches)
    least = _SHARE * math.log(table.rows + 1)
    for row, values in zip(rows, matches, strict=True):
        score = _measure(values, counts, table.rows)
        is_part = any(values < other for other in distinct)
        if distinct[values] == 1 and score >= least and not is_part:
            pairs = zip(table.columns, row, strict=False)
            texts = {one.name: str(cell) for one, cell in pairs if cell and one.kind == "text"}
            longest = sorted(_longest(values), key=list(phrases).index)
            name = " ".join(phrases[value] for value in longest)
            yield NamedRow(str(row[-1]), texts, name, score)


def _may_name(column: Column, phrases: dict[str, str]) -> bool:
    """Return whether a value of a column may name a row: a text, or a number with its name."""
    if column.kind == "text":
        return not column.is_list
    name = _plain(split_name(column.name))
    return column.kind == "number" and any(
        phrase.startswith(f"{name} ") and phrase.removeprefix(f"{name} ").isdigit()
        for phrase in phrases
    )


def _match_phrase(cell: Scalar | None, column: str, phrases: dict[str, str]) -> str:
    """Return the phrase that a cell is, or whose first name it is; "" if it is none.

    A short number counts after the name of its column: "desk 4".
    """
    plain = "" if cell is None else _plain(str(cell))
    if plain.isdecimal() and len(plain) <= _SHORT_NUMBER:
        return plain if f"{_plain(split_name(column))} {plain}" in phrases else ""
    if plain in phrases or not plain:
        return plain
    first, *others = words_of(str(cell))
    is_name = 0 < len(others) < _LONGEST_NAME and all(one.text[:1].isupper() for one in others)
    asked = phrases.get(first.folded, "")
    return first.folded if is_name and _is_first_name(asked) else ""


def _is_first_name(text: str) -> bool:
    """Return whether a phrase may be a first name: one word with a capital letter."""
    return text[:1].isupper() and text[1:].islower() and text.isalpha()


def _measure(values: frozenset[str], counts: Counter[str], rows: int) -> float:
    """Return the information of the values of a row, in nats."""
    return sum(math.log((rows + 1) / counts[one]) for one in _longest(values))


def _longest(values: frozenset[str]) -> list[str]:
    """Return the values that are not part of longer ones."""
    return [
        one
        for one in values
        if not any(one != other and f" {one} " in f" {other} " for other in values)
    ]
