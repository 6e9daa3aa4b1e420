"""Queries that the language model drafts: the prompt, and reading its SQL.

The model sees one table. Its query is read only if it is a SELECT from that table without a join,
so that the rows it rests on are known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from expertrag.llm.base import Message
from expertrag.queries.conditions import NO, YES, QueryCondition
from expertrag.queries.linking import TableLink
from expertrag.queries.query import TableQuery
from expertrag.queries.targets import QueryTarget
from expertrag.queries.vocabulary import Word, fold, same_word, words_of
from expertrag_index.tables.cells import date_of
from expertrag_index.tables.database import Column, StoreTable, quote

DRAFT_TOKENS = 120
DRAFT_STOPS = (";", "\n\n", "```")

_SYSTEM = (
    "You write one SQLite query that answers a question. Use one table only, no joins, and only "
    "the given columns and values. Compare dates as text, such as date BETWEEN '2026-04-01' AND "
    "'2026-06-30'. For a list, select the name or id of each row. Answer with SQL only."
)
_BEGINNING = "SELECT"
_MOST_COLUMNS, _ALL_VALUES, _SOME_VALUES, _LONGEST_VALUE = 14, 8, 3, 40
_TYPES = {"number": "REAL", "date": "DATE", "text": "TEXT"}
_SELECT = re.compile(
    r"SELECT\s+(?P<distinct>DISTINCT\s+)?(?P<what>.+?)\s+FROM\s+\"?(?P<table>[\w]+)\"?"
    r"(?:\s+WHERE\s+(?P<where>.+?))?(?:\s+GROUP\s+BY\s+(?P<group>.+?))?"
    r"(?:\s+HAVING\s+(?P<having>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>.+?))?(?:\s+LIMIT\s+(?P<limit>\d+))?",
    re.IGNORECASE | re.DOTALL,
)
_AGGREGATE = re.compile(
    r"(?P<operation>COUNT|SUM|AVG|MAX|MIN)\(\s*(?P<distinct>DISTINCT\s+)?\"?(?P<of>\*|[^\")]+)\"?\s*\)",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(r"\b(?:JOIN|UNION|WITH|INTERSECT|EXCEPT)\b|\(\s*SELECT\b", re.IGNORECASE)
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\")")
_WORD = re.compile(r"[^\W\d]\w*")


def draft_messages(link: TableLink, today: date) -> list[Message]:
    """Return the prompt for a query over the table of a link."""
    periods = [
        f"{period.text} is from '{period.first}' to '{period.last}'"
        for period in link.parts.periods
        if period.first
    ]
    parts = [_describe(link.table), ""]
    parts += [f"Periods: {'; '.join(periods)}"] if periods else []
    parts += [f"Today: {today.isoformat()}", f"Question: {link.parts.question}"]
    user = Message("user", "\n".join(parts))
    return [Message("system", _SYSTEM), user, Message("assistant", _BEGINNING)]


def _describe(table: StoreTable) -> str:
    columns = "\n".join(map(_describe_column, table.columns[:_MOST_COLUMNS]))
    names = "; ".join(dict.fromkeys(table.names))
    return f"CREATE TABLE {table.name} ( -- {names}\n{columns}\n);"


def _describe_column(column: Column) -> str:
    values = column.values
    shown = values if len(values) <= _ALL_VALUES else values[:_SOME_VALUES]
    listed = ", ".join(f"'{value[:_LONGEST_VALUE]}'" for value in shown)
    more = ", …" if len(values) > len(shown) else ""
    note = f"{listed}{more}" if listed else "YYYY-MM-DD" if column.kind == "date" else column.unit
    return f"  {_simple(column.name)} {_TYPES[column.kind]}," + (f" -- {note}" if note else "")


def _simple(name: str) -> str:
    """Return a name that needs no quotes in SQL."""
    return re.sub(r"\W+", "_", name).strip("_") or "column"


def read_draft(text: str, link: TableLink) -> TableQuery | None:
    """Read the SQL that continues the prompt.

    None if it is not a query of the link's table, or compares with what the question does not say.
    Models fill in values that they have seen in the prompt.
    """
    table = link.table
    sql = " ".join(_quote_names(f"{_BEGINNING} {text.strip()}", table).split())
    match = _SELECT.fullmatch(sql)
    if match is None or match["having"] or match["table"] != table.name or _FORBIDDEN.search(sql):
        return None
    target = _read_target(match, table)
    if target is None:
        return None
    where = match["where"] or ""
    if not (_is_grounded(where, link) and _uses_values(where, link)):
        return None
    conditions = (QueryCondition(f"({match['where']})", ""),) if match["where"] else ()
    shown = _read_columns(match["what"], table) or [column.name for column in table.columns[:3]]
    wanted = (target.group, target.measure)
    shown += [name for name in wanted if name and name not in shown]
    return TableQuery(table, target, conditions, tuple(shown))


def _uses_values(where: str, link: TableLink) -> bool:
    """Return whether a condition has every value that the question names without doubt."""
    by_words: dict[tuple[Word, ...], list[str]] = {}
    for one in link.values:
        if one.exact and not all(word.asks for word in one.words):
            by_words.setdefault(one.words, []).append(one.value)
    folded = fold(where)
    return all(any(fold(value) in folded for value in values) for values in by_words.values())


def _is_grounded(where: str, link: TableLink) -> bool:
    """Return whether the question says each value of a condition; yes and no need not be said."""
    words = [word.folded for word in words_of(link.parts.question)]
    days = {day for period in link.parts.periods for day in (period.first, period.last)}
    numbers = {float(number.number) for number in link.parts.numbers}
    for text in re.findall(r"'((?:[^']|'')*)'", where):
        plain = text.strip("%")
        if date_of(plain):
            if not days and not re.search(r"\d", link.parts.question):
                return False
            continue
        said = (any(same_word(part.folded, word) for word in words) for part in words_of(plain))
        if fold(plain) not in YES | NO and not any(said):
            return False
    for number in re.findall(r"(?<![\w.'-])\d+(?:\.\d+)?(?![\w.'-])", _QUOTED.sub("", where)):
        if float(number) not in numbers | {0.0} and number not in link.parts.question:
            return False
    return True


def _quote_names(sql: str, table: StoreTable) -> str:
    """Write the names of columns as they are stored."""
    names = {_simple(column.name).lower(): column.name for column in table.columns}

    def write(match: re.Match[str]) -> str:
        name = names.get(match[0].lower())
        return quote(name) if name else match[0]

    parts = _QUOTED.split(sql)
    return "".join(part if at % 2 else _WORD.sub(write, part) for at, part in enumerate(parts))


def _read_target(match: re.Match[str], table: StoreTable) -> QueryTarget | None:
    """Return what a query selects; None if that is not a column, a count or a computed value."""
    limit = int(match["limit"]) if match["limit"] else None
    order = match["order"] or ""
    descending = bool(re.search(r"\bDESC\b", order, re.IGNORECASE))
    aggregates = list(_AGGREGATE.finditer(f"{match['what']} {order}"))
    group = next(iter(_read_columns(match["group"] or "", table)), "")
    if match["group"] and not (group and len(aggregates) <= 2):
        return None
    if aggregates:
        first = aggregates[0]
        operation, of = first["operation"].upper(), first["of"].strip('" ')
        measure = "" if of == "*" else of
        if measure and table.column(measure) is None:
            return None
        distinct = bool(first["distinct"])
        if operation == "COUNT" and not distinct:
            measure = ""
        if not group and "," in match["what"]:
            return None
        return QueryTarget(operation, measure, group, distinct, descending or not order, limit)
    if group:
        return QueryTarget("COUNT", group=group, descending=descending, limit=limit)
    columns = _read_columns(match["what"], table)
    if match["distinct"] and len(columns) == 1:
        return QueryTarget("COUNT", group=columns[0])
    ordered = next(iter(_read_columns(order, table)), "")
    return QueryTarget("", ordered if limit else "", descending=descending, limit=limit)


def _read_columns(sql: str, table: StoreTable) -> list[str]:
    """Return the columns that a part of a query names, without those that are computed with."""
    plain: Sequence[str] = re.findall(r"\"([^\"]+)\"", _AGGREGATE.sub("", sql))
    known = {column.name for column in table.columns}
    return [name for name in dict.fromkeys(plain) if name in known]
