"""Run the queries that a question may mean, and keep what tells them apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import chain

from expertrag.queries.linking import QuestionParts, TableLink, link_tables
from expertrag.queries.query import TableQuery, find_queries
from expertrag_index.tables.database import Rows, TableDatabase, quote
from expertrag_retriever.types import QuestionScope, Scalar

_EVERY = re.compile(
    r"\b(all|every|each|alle|jede[rsnm]?|sämtliche\w*|tous|toutes|todos|todas)\b", re.I
)

_CLOSE = 1.5
"""Difference of the scores of two tables that may both be meant: the one with rows is taken."""

Choose = Callable[[str, Sequence[str]], str]
"""Chooses one of several queries for a question; the language model does."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a query gave.

    ``values``: the rows of the answer; ``rows``: what they were computed from, the first column is
    the document's id. ``total``: rows of the whole table. ``others``: number of other readings of
    the question that give another result. ``every``: for EXISTS, whether every row is meant.
    ``ignored``: words of the question that were left out.
    """

    query: TableQuery
    scope: QuestionScope
    values: Rows
    rows: Rows
    total: int
    others: int = 0
    every: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def documents(self) -> tuple[str, ...]:
        """The ids of the documents whose rows match, each once, in the order of the rows."""
        return tuple(dict.fromkeys(str(row[0]) for row in self.rows.rows))


def link_question(question: str, database: TableDatabase, today: date) -> TableLink | None:
    """Link a question with the table that it is about; None without tables."""
    links = link_tables(QuestionParts.of(question, today), database.tables)
    understood = [link for link in links if link.understood]
    if understood:
        close = [link for link in understood if link.score >= understood[0].score - _CLOSE]
        return next((link for link in close if has_rows(link, database)), understood[0])
    inside = (link.looks_inside for link in links)
    ignoring = (link.ignores_word for link in links[:3])
    documents = (link for link in links if link.names_documents)
    return next(chain(filter(None, inside), filter(None, ignoring), documents, links), None)


def has_rows(link: TableLink, database: TableDatabase) -> bool:
    """Return whether any row of a table satisfies the conditions of a question."""
    queries = find_queries(link, QuestionScope.LIST, database)
    return any(database.run(query.rows_sql).rows for query in queries[:2])


def run_question(
    link: TableLink, scope: QuestionScope, database: TableDatabase, choose: Choose | None = None
) -> QueryResult | None:
    """Run what a question means over a table that it is linked with; None if it means nothing.

    :param choose: chooses among readings of the question that give different results; None takes
        the likeliest one.
    """
    queries = find_queries(link, scope, database)
    if not queries:
        return None
    results: dict[tuple[tuple[Scalar | None, ...], ...], TableQuery] = {}
    for query in queries:
        values = database.run(query.sql).rows
        results.setdefault(_essence(query, values), query)
    readings = list(results.values())
    query = readings[0]
    if len(readings) > 1 and choose is not None:
        named = {reading.sql: reading for reading in readings}
        query = named[choose(link.parts.question, list(named))]
    every = scope is QuestionScope.EXISTS and bool(_EVERY.search(link.parts.question))
    result = QueryResult(
        query,
        scope,
        _with_ties(query, database),
        database.run(query.rows_sql),
        link.table.rows,
        len(readings) - 1,
        every,
        tuple(word.text for word in link.ignored),
    )
    return result


def _essence(
    query: TableQuery, values: tuple[tuple[Scalar | None, ...], ...]
) -> tuple[tuple[Scalar | None, ...], ...]:
    """Return what is compared of two readings: computed values, or the first column of rows."""
    return values if query.target.operation else tuple(row[:1] for row in values)


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
