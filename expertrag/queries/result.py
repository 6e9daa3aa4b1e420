"""Run the queries that a question may mean, and keep what tells them apart."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from expertrag.queries.linking import TableLink
from expertrag.queries.periods import find_years
from expertrag.queries.query import MOST_SHOWN, TableQuery, find_queries
from expertrag.queries.vocabulary import fold
from expertrag_index.tables.database import Rows, StoreTable, TableDatabase, quote
from expertrag_index.tables.families import FILE, TITLE
from expertrag_retriever.types import QuestionScope, Scalar

_EVERY = re.compile(
    r"\b(all|every|each|alle|jede[rsnm]?|sämtliche\w*|tous|toutes|todos|todas)\b", re.I
)

_NAMES = (
    frozenset({"first name", "firstname", "given name", "forename", "vorname", "prenom", "nombre"}),
    frozenset({"surname", "last name", "lastname", "family name", "nachname", "nom", "apellido"}),
)
"""Columns of first names, and of last names."""

_MOSTLY = 0.7
"""Share of the fields of two folders, from which they hold files of one kind."""

_CLOSE = 1.5
"""Difference of the scores of two tables that may both be meant: the one with rows is taken."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave.

    ``values``: the rows of the answer; ``rows``: what they were computed from, the first column is
    the document's id. ``total``: rows of the whole table. ``others``: number of other readings of
    the question that give another result. ``agreed``: whether the words of the question and the
    language model lead to it; None if no model was asked. ``every``: for EXISTS, whether every row
    is meant. ``ignored``: words of the question that were left out. ``alike``: the name of a folder
    with the same fields, such as another year's, that the question may mean as well.
    """

    query: TableQuery
    scope: QuestionScope
    values: Rows
    rows: Rows
    total: int
    others: int = 0
    agreed: bool | None = None
    every: bool = False
    ignored: tuple[str, ...] = ()
    alike: str = ""

    @property
    def documents(self) -> tuple[str, ...]:
        """The ids of the documents whose rows match, each once, in the order of the rows."""
        return tuple(dict.fromkeys(str(row[0]) for row in self.rows.rows))


def link_question(links: Sequence[TableLink], database: TableDatabase) -> TableLink | None:
    """Return the link that understands a question; None if no link is given.

    :param links: of the tables that the question may be about, the likeliest first.
    """
    understood = [link for link in links if link.understood]
    if understood:
        close = [link for link in understood if link.score >= understood[0].score - _CLOSE]
        return next((link for link in close if has_rows(link, database)), understood[0])
    inside = (link.looks_inside for link in links[:1])
    ignoring = (link.ignores_word for link in links[:1])
    return next(chain(filter(None, inside), filter(None, ignoring), links), None)


def has_rows(link: TableLink, database: TableDatabase) -> bool:
    """Return whether any row of a table satisfies the conditions of a question."""
    queries = find_queries(link, QuestionScope.LIST, database)
    return any(database.run(query.rows_sql).rows for query in queries[:2])


def run_question(
    link: TableLink,
    scope: QuestionScope,
    database: TableDatabase,
    draft: TableQuery | None = None,
    *,
    asked_model: bool = False,
) -> QueryResult | None:
    """Run what a question means over a table that it is linked with; None if it means nothing.

    The words of a question may leave several readings. The draft of a language model decides among
    them. If it is none of them, it is taken instead, because the question says each of its values.
    Of 65 such questions, it was right for 9 then, and the words for 3.

    :param draft: the query of the language model, if it wrote one.
    :param asked_model: whether the model was asked for one.
    """
    queries = find_queries(link, scope, database) if link.understood else []
    readings: dict[object, TableQuery] = {}
    for each in queries:
        readings.setdefault(_essence(each, scope, database), each)
    query: TableQuery | None = next(iter(readings.values()), None)
    agreed: bool | None = False if asked_model else None
    if draft is not None and scope is QuestionScope.EXISTS and draft.notes:
        draft = None  # a row that is like what is asked is not what is asked
    if draft is not None:
        essence = _essence(draft, scope, database)
        agreed = essence in readings
        readings.setdefault(essence, draft)
        if agreed or query is None or database.run(draft.rows_sql).rows:
            query = readings[essence]
            shown = dict.fromkeys((*draft.shown, *query.shown))
            query = replace(query, shown=tuple(shown)[:MOST_SHOWN])
    if query is None:
        return None
    query = replace(query, shown=identify_rows(query, database))
    return QueryResult(
        query,
        scope,
        _with_ties(query, database),
        database.run(query.rows_sql),
        link.table.rows,
        others=0 if agreed else len(readings) - 1,
        agreed=agreed,
        every=scope is QuestionScope.EXISTS and bool(_EVERY.search(link.parts.question)),
        ignored=tuple(word.text for word in link.ignored),
        alike=find_alike(link, database),
    )


def find_alike(link: TableLink, database: TableDatabase) -> str:
    """Return the name of a folder of another year whose files have the same fields; "" if none.

    A question that says a year means the folder of that year.
    """
    table, years = link.table, _years(link.table)
    if not table.is_family or any(period.first for period in link.parts.periods):
        return ""
    others = (
        other.names[0]
        for other in database.tables
        if other.is_family and years - _years(other) and _years(other) and _are_alike(table, other)
    )
    return next(others, "")


def _are_alike(table: StoreTable, other: StoreTable) -> bool:
    """Return whether most fields of two tables are the same, beyond the file and the title."""
    one, two = ({column.name for column in each.columns} for each in (table, other))
    return len(one & two) >= _MOSTLY * len(one | two) and bool(one & two - {FILE, TITLE})


def _years(table: StoreTable) -> set[str]:
    return set(find_years(" ".join(table.names)))


def identify_rows(query: TableQuery, database: TableDatabase) -> tuple[str, ...]:
    """Return the columns to show, with what tells rows apart: a last name, or a key.

    "Lukas Wendt" twice does not say which tickets are meant.
    """
    shown = list(query.shown)
    if other := find_other_name(query.table, shown[0]):
        shown = [shown[0], other, *(name for name in shown[1:] if name != other)]
    elif not query.target.operation and not any(map(query.table.is_key, shown)):
        first = [row[1] for row in database.run(replace(query, shown=tuple(shown)).rows_sql).rows]
        keys = [column.name for column in query.table.columns if column.is_key]
        key = next((name for name in keys if name not in (FILE, TITLE)), next(iter(keys), ""))
        if key and len(set(first)) < len(first):
            shown = [shown[0], key, *shown[1:]]
    return tuple(shown[:MOST_SHOWN])


def find_other_name(table: StoreTable, name: str) -> str:
    """Return the column of last names for the one of first names, or the other way; else ""."""
    own = next((names for names in _NAMES if fold(name) in names), None)
    if own is None:
        return ""
    others = next(names for names in _NAMES if names is not own)
    return next((column.name for column in table.columns if fold(column.name) in others), "")


def is_first_name(name: str) -> bool:
    """Return whether a column has first names."""
    return fold(name) in _NAMES[0]


def _essence(query: TableQuery, scope: QuestionScope, database: TableDatabase) -> object:
    """Return what is compared of two readings: the numbers of rows, or what is computed of them."""
    values = database.run(query.sql).rows
    if scope is QuestionScope.EXISTS or not query.target.operation:
        rows = frozenset(row[0] for row in database.run(query.numbers_sql).rows)
        return bool(rows) if scope is QuestionScope.EXISTS else rows
    return tuple(tuple(_round(cell) for cell in row) for row in values[: query.target.limit])


def _round(cell: Scalar | None) -> Scalar | None:
    return round(cell, 4) if isinstance(cell, float) else cell


def _with_ties(query: TableQuery, database: TableDatabase) -> Rows:
    """Run a query; of the largest group or row, all that are equally large."""
    if query.target.limit != 1:
        return database.run(query.sql)
    rows = database.run(replace(query, target=replace(query.target, limit=None)).sql)
    if not rows.rows:
        return rows
    at = len(rows.columns) - 1
    if not query.target.operation:
        at = rows.columns.index(query.target.measure)
    best = rows.rows[0][at]
    return Rows(rows.columns, tuple(row for row in rows.rows if row[at] == best))


def count_decimals(query: TableQuery, database: TableDatabase) -> int:
    """Return the most decimals of the values that a query computes, at most 4."""
    name, source = quote(query.target.measure), quote(query.table.name)
    rows = database.run(f"SELECT DISTINCT {name} FROM {source} WHERE {name} IS NOT NULL LIMIT 500")
    texts = (repr(row[0]) for row in rows.rows)
    return min(
        max((len(text.partition(".")[2]) for text in texts if not text.endswith(".0")), default=0),
        4,
    )
