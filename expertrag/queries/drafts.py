"""Queries that the language model drafts: the prompt, and reading its SQL.

The model sees one table. Its query is read only if it is a SELECT from that table without a join,
so that the rows it rests on are known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from expertrag.llm.base import Message
from expertrag.queries.conditions import DAY_END, NO, YES, QueryCondition, is_within, literal
from expertrag.queries.linking import TableLink
from expertrag.queries.query import TableQuery
from expertrag.queries.schema import convert_numbers, describe_table, simple_name
from expertrag.queries.targets import QueryTarget
from expertrag.queries.vocabulary import Word, fold, same_word, words_of
from expertrag_index.tables.cells import date_of
from expertrag_index.tables.database import StoreTable, quote

DRAFT_TOKENS = 120
DRAFT_STOPS = (";", "\n\n", "```")

_SYSTEM = (
    "You write one SQLite query that answers a question. Use one table only, no joins, and only "
    "the given columns and values. Compare dates as text, such as date BETWEEN '2026-04-01' AND "
    "'2026-06-30'. An empty cell is NULL. For a list, select the name or id of each row. Answer "
    "with SQL only."
)
_BEGINNING = "SELECT"
_MOST_ASSUMED = 12
"""Most values of a column of which the model may choose one that the question does not say."""

_SELECT = re.compile(
    r"SELECT\s+(?P<distinct>DISTINCT\s+)?(?P<what>.+?)\s+FROM\s+\"?[\w]+\"?"
    r"(?:\s+WHERE\s+(?P<where>.+?))?(?:\s+GROUP\s+BY\s+(?P<group>.+?))?"
    r"(?:\s+HAVING\s+(?P<having>.+?))?"
    r"(?:\s+ORDER\s+BY\s+(?P<order>.+?))?(?:\s+LIMIT\s+(?P<limit>\d+))?",
    re.IGNORECASE | re.DOTALL,
)
_AGGREGATE = re.compile(
    r"(?P<operation>COUNT|SUM|AVG|MAX|MIN)\(\s*(?P<distinct>DISTINCT\s+)?"
    r"(?:\"(?P<name>[^\"]+)\"|(?P<of>\*|\w+))\s*\)",
    re.IGNORECASE,
)
_FORBIDDEN = re.compile(r"\b(?:JOIN|UNION|WITH|INTERSECT|EXCEPT)\b|\(\s*SELECT\b", re.IGNORECASE)
_ALIAS = re.compile(
    r"\s+AS\s+\w+(?=\s+(?:FROM|WHERE|GROUP|ORDER|LIMIT)\b|\s*,|\s*$)", re.IGNORECASE
)
_QUALIFIER = re.compile(r"(?P<text>'(?:[^']|'')*'|\"[^\"]*\"(?!\.))|[\w\"]+\.(?=[\w\"])")
_EXTREME = re.compile(
    r"(?P<name>\"[^\"]+\")\s*=\s*\(\s*SELECT\s+(?P<which>MAX|MIN)\(\s*(?P=name)\s*\)\s+FROM\s+\"?\w+\"?"
    r"(?:\s+WHERE\s+(?P<where>[^()]+?))?\s*\)$",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"('(?:[^']|'')*'|\"[^\"]*\")")
_APOSTROPHE = re.compile(r"(?<=\w)'(?=\w)")
_IS_EMPTY = re.compile(r"(?P<name>\"[^\"]+\") IS (?P<not>NOT )?NULL", re.IGNORECASE)
_IS_DAY = re.compile(r"(?P<name>\"[^\"]+\") = '(?P<day>\d{4}-\d\d-\d\d)'")
_WORD = re.compile(r"[^\W\d]\w*")
_KEYWORDS = frozenset(
    {"SELECT", "DISTINCT", "FROM", "WHERE", "GROUP", "ORDER", "BY", "LIMIT", "AND", "OR", "NOT"}
    | {"IN", "IS", "NULL", "LIKE", "BETWEEN", "AS"}
)


def draft_messages(link: TableLink) -> list[Message]:
    """Return the prompt for a query over the table of a link."""
    periods = [
        f"{period.text} is from '{period.first}' to '{period.last}'"
        for period in link.parts.periods
        if period.first
    ]
    hints = [*periods, *convert_numbers(link)]
    parts = [describe_table(link), ""]
    parts += [f"Note: {'; '.join(hints)}"] if hints else []
    user = Message("user", "\n".join([*parts, f"Question: {link.parts.question}"]))
    return [Message("system", _SYSTEM), user, Message("assistant", _BEGINNING)]


def read_draft(text: str, link: TableLink) -> TableQuery | None:
    """Read the SQL that continues the prompt.

    None if it is not a query of one table. A condition is left out if the question does not
    say its number or day: models fill in what they have seen in the prompt. A value of a column
    with few values may be meant by other words. Notes say both. A query with a condition that is
    left out, and none that the question says, is not what the question asks.
    """
    table = link.table
    written = _APOSTROPHE.sub("''", f"{_BEGINNING} {text.strip()}")  # 'Clockmaker's House'
    sql = _simplify(" ".join(_quote_names(written, table).split()))
    match = _SELECT.fullmatch(sql)
    if match is None or match["having"] or _FORBIDDEN.search(_QUOTED.sub("", sql)):
        return None
    target = _read_target(match, table)
    if target is None:
        return None
    where = _widen_days(_answer_flags(match["where"] or "", table), link)
    parts = [part for part in _split(where) if not _repeats_aggregate(part, target)]
    conditions = [_read_condition(part, link) for part in parts]
    if None in conditions and not any(one and not one.note for one in conditions):
        return None
    where = " ".join(one.sql for one in conditions if one)
    if None in conditions:
        note = "a condition that the question does not say was left out"
        conditions.append(QueryCondition("", "", note))
    conditions += [
        QueryCondition("", "", f"“{value}” is not compared") for value in _list_unused(where, link)
    ]
    shown = _read_columns(match["what"], table) or [column.name for column in table.columns[:3]]
    wanted = (target.group, target.measure)
    shown += [name for name in wanted if name and name not in shown]
    return TableQuery(table, target, tuple(filter(None, conditions)), tuple(shown))


def _simplify(sql: str) -> str:
    """Write a query without aliases, and the row of the largest value by its order."""
    sql = _ALIAS.sub("", _QUALIFIER.sub(lambda match: match["text"] or "", sql))
    match = _EXTREME.search(sql)
    if match is None:
        return sql
    before = sql[: match.start()].rstrip()
    inner, order = match["where"], "DESC" if match["which"].upper() == "MAX" else "ASC"
    if before.upper().endswith("WHERE"):
        before = f"{before} {inner}" if inner else before[: -len("WHERE")].rstrip()
    else:  # it ends with AND
        before = before[: -len("AND")].rstrip()
    return f"{before} ORDER BY {match['name']} {order} LIMIT 1"


def _list_unused(where: str, link: TableLink) -> list[str]:
    """Return the values that the question names without doubt, and a condition does not have."""
    by_words: dict[tuple[Word, ...], list[str]] = {}
    for one in link.values:
        if one.exact and not all(word.asks for word in one.words):
            by_words.setdefault(one.words, []).append(one.value)
    folded = fold(where)
    return [
        values[0]
        for values in by_words.values()
        if not any(fold(value) in folded for value in values)
    ]


def _split(where: str) -> list[str]:
    """Split a condition at each AND; one with OR is kept whole."""
    if not where or re.search(r"\bOR\b", _QUOTED.sub("", where), re.IGNORECASE):
        return [where] if where else []
    parts: list[str] = []
    for part in re.split(r"\s+AND\s+", where, flags=re.IGNORECASE):
        between = parts and re.search(r"\bBETWEEN\s+\S+$", parts[-1], re.IGNORECASE)
        if between or (parts and parts[-1].count("'") % 2):
            parts[-1] += f" AND {part}"
        else:
            parts.append(part)
    return parts


def _answer_flags(where: str, table: StoreTable) -> str:
    """Write "is empty" as "no" for a column of yes and no, in which empty cells mean no as well."""

    def write(match: re.Match[str]) -> str:
        column = table.column(match["name"].strip('"'))
        no = [value for value in column.values if fold(value) in NO] if column else []
        if column is None or not no or not {*map(fold, column.values)} <= {*YES, *NO}:
            return match[0]
        sign = "<>" if match["not"] else "="
        return f"COALESCE({match['name']}, {literal(no[0])}) {sign} {literal(no[0])}"

    return _IS_EMPTY.sub(write, where)


def _widen_days(where: str, link: TableLink) -> str:
    """Write a day as the period of the question that holds it, such as the last one of "2026"."""

    def write(match: re.Match[str]) -> str:
        column = link.table.column(match["name"].strip('"'))
        if column is None or column.kind != "date":
            return match[0]
        periods = link.parts.periods
        holding = (one for one in periods if one.first <= match["day"] <= one.last)
        period = next(holding, None)
        return is_within(match["name"], period) if period else match[0]

    return _IS_DAY.sub(write, where)


def _repeats_aggregate(sql: str, target: QueryTarget) -> bool:
    """Return whether a condition only leaves out empty cells, which an aggregate does itself."""
    return bool(target.operation and target.measure) and (
        sql.upper() == f"{quote(target.measure)} IS NOT NULL".upper()
    )


def _read_condition(sql: str, link: TableLink) -> QueryCondition | None:
    """Return a condition with a note on values that the question does not say in these words.

    None if one of them is a number or a day, or none of a few values of a column.
    """
    words = [word.folded for word in words_of(link.parts.question)]
    days = {day for period in link.parts.periods for day in (period.first, period.last)}
    few = {
        fold(value)
        for column in link.table.columns
        if len(column.values) <= _MOST_ASSUMED
        for value in column.values
    }
    assumed = []
    for text in re.findall(r"'((?:[^']|'')*)'", sql):
        plain = text.strip("%").replace("''", "'")
        if date_of(plain.removesuffix(DAY_END)):
            if not days and not re.search(r"\d", link.parts.question):
                return None
            continue
        said = (any(same_word(part.folded, word) for word in words) for part in words_of(plain))
        if fold(plain) in YES | NO or any(said):
            continue
        if fold(plain) not in few or _is_full_name(plain):
            return None
        assumed.append(f"it is taken as “{plain}”")
    return QueryCondition(f"({sql})", "", "; ".join(assumed)) if _says_numbers(sql, link) else None


def _is_full_name(value: str) -> bool:
    """Return whether a value is a name of several words, which other words do not mean."""
    words = value.split()
    return len(words) > 1 and all(word[0].isupper() for word in words)


def _says_numbers(where: str, link: TableLink) -> bool:
    """Return whether the question says each number of a condition, in its own unit or another."""
    numbers = {float(number.number) for number in link.parts.numbers} | {0.0}
    numbers |= {float(value) for value in re.findall(r"is (\S+)", "; ".join(convert_numbers(link)))}
    written = re.findall(r"(?<![\w.'-])\d+(?:\.\d+)?(?![\w.'-])", _QUOTED.sub("", where))
    return all(float(one) in numbers or one in link.parts.question for one in written)


def _quote_names(sql: str, table: StoreTable) -> str:
    """Write the names of columns as they are stored."""
    names = {simple_name(column.name).lower(): column.name for column in table.columns}

    def write(match: re.Match[str]) -> str:
        name = None if match[0] in _KEYWORDS else names.get(match[0].lower())
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
        operation, of = first["operation"].upper(), first["name"] or first["of"]
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
