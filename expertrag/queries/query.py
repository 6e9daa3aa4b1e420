"""Build the queries that a question may mean over one table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from expertrag.queries.conditions import (
    QueryCondition,
    combinations,
    flag_conditions,
    limit_of,
    number_conditions,
    period_conditions,
    state_conditions,
    text_conditions,
    value_conditions,
)
from expertrag.queries.linking import TableLink
from expertrag.queries.targets import QueryTarget, find_targets
from expertrag_index.tables.database import DOCUMENT, Column, StoreTable, TableDatabase, quote
from expertrag_retriever.types import QuestionScope

MOST_QUERIES = 24
"""Most queries that a question is taken to mean."""


_FEWEST_SHOWN, MOST_SHOWN = 3, 6
"""Fewest and most columns that the rows of an answer have."""


@dataclass(frozen=True, slots=True)
class TableQuery:
    """A query over one table. ``sql`` computes the answer, ``rows_sql`` selects its rows.

    ``conditions``: what the rows satisfy. ``shown``: columns of ``rows_sql``, without the document.
    """

    table: StoreTable
    target: QueryTarget
    conditions: tuple[QueryCondition, ...]
    shown: tuple[str, ...]
    currency: str = ""

    @property
    def where(self) -> str:
        """The condition in SQL, with its keyword; "" without one."""
        parts = [condition.sql for condition in self.conditions if condition.sql]
        if self.target.measure and not self.target.distinct:
            parts.append(f"{quote(self.target.measure)} IS NOT NULL")
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    @property
    def sql(self) -> str:
        """The query that computes the answer."""
        target, source = self.target, f"FROM {quote(self.table.name)}{self.where}"
        if not target.operation:
            names = ", ".join(map(quote, self.shown))
            order = ""
            if target.measure:
                order = f" ORDER BY {quote(target.measure)}{' DESC' if target.descending else ''}"
            limit = f" LIMIT {target.limit}" if target.limit else ""
            return f"SELECT {names} {source}{order}{limit}"
        value = self._value()
        keys = [name for name in (target.group, self.currency) if name]
        if not keys:
            return f"SELECT {value} {source}"
        names = ", ".join(map(quote, keys))
        order = f" ORDER BY {value}{' DESC' if target.descending else ''}"
        limit = f" LIMIT {target.limit}" if target.limit and target.group else ""
        return f"SELECT {names}, {value} {source} GROUP BY {names}{order}{limit}"

    def _value(self) -> str:
        target = self.target
        if target.operation == "COUNT":
            return f"COUNT(DISTINCT {quote(target.measure)})" if target.distinct else "COUNT(*)"
        return f"{target.operation}({quote(target.measure)})"

    @property
    def rows_sql(self) -> str:
        """The query that selects the rows that the answer is computed from."""
        return self._select_rows(", ".join(map(quote, (DOCUMENT, *self.shown))))

    @property
    def numbers_sql(self) -> str:
        """The query that selects the numbers of these rows."""
        return self._select_rows("rowid")

    def _select_rows(self, names: str) -> str:
        target = self.target
        order = limit = ""
        if target.measure and not target.operation:
            order = f" ORDER BY {quote(target.measure)}{' DESC' if target.descending else ''}"
            limit = f" LIMIT {target.limit}" if target.limit else ""
        return f"SELECT {names} FROM {quote(self.table.name)}{self.where}{order}{limit}"

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed."""
        return tuple(condition.note for condition in self.conditions if condition.note)


def find_queries(
    link: TableLink, scope: QuestionScope, database: TableDatabase
) -> list[TableQuery]:
    """Return the queries that a question may mean over a table, the likeliest first."""
    slots = [
        *value_conditions(link),
        *period_conditions(link, database),
        *number_conditions(link),
        *text_conditions(link),
        *state_conditions(link),
        *flag_conditions(link),
    ]
    limit = limit_of(link)
    targets = find_targets(link, scope, limit)
    return list(islice(_queries(link, targets, slots), MOST_QUERIES))


def _queries(
    link: TableLink, targets: list[QueryTarget], slots: list[list[QueryCondition]]
) -> Iterator[TableQuery]:
    codes = currency_column(link.table)
    currency = codes.name if codes and len(codes.values) > 1 else ""
    for target in targets:
        for conditions in combinations(slots):
            shown = _choose_columns(link, target, conditions)
            computes = target.operation in ("SUM", "AVG")
            given = any(condition.column == currency for condition in conditions)
            yield TableQuery(
                link.table, target, conditions, shown, currency if computes and not given else ""
            )


def currency_column(table: StoreTable) -> Column | None:
    """Return the column whose values are codes of currencies; None without one."""
    return next((column for column in table.columns if _has_codes(column)), None)


def _has_codes(column: Column) -> bool:
    codes = [value for value in column.values if len(value) == 3 and value.isupper()]
    return 0 < len(codes) == len(column.values) <= 12


def _choose_columns(
    link: TableLink, target: QueryTarget, conditions: tuple[QueryCondition, ...]
) -> tuple[str, ...]:
    """Return the columns that tell the rows apart, and those that the question is about."""
    table = link.table
    names = [column.name for column in table.columns]
    if table.is_family:
        title = table.column("title")
        key = ["title"] if title and title.is_key else ["title", "file"]
    else:
        texts = [column.name for column in table.columns if column.kind == "text"]
        keys = [column.name for column in table.columns if column.is_key]
        key = [*keys[:1], *texts[:2]]
    asked = [column.name for column, _ in link.columns]
    tested = [condition.column for condition in conditions]
    order = [*key, *([target.measure] if target.measure else []), *asked, *tested]
    shown = dict.fromkeys(name for name in order if name in names)
    return tuple(shown if len(shown) >= _FEWEST_SHOWN else dict.fromkeys([*shown, *names]))[
        : max(_FEWEST_SHOWN, min(len(shown), MOST_SHOWN))
    ]
