"""The conditions of a query: linked values, periods and numbers, each with its possible columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from expertrag.queries.linking import NumberLink, TableLink, ValueLink, split_name
from expertrag.queries.periods import NamedPeriod
from expertrag.queries.units import convert, unit_of
from expertrag.queries.vocabulary import Word, fold, words_of
from expertrag_index.tables.database import Column, TableDatabase, quote
from expertrag_index.tables.extract import LIST
from expertrag_index.words.porter import stem

_NOT = re.compile(
    r"\b(not|except|excluding|without|other than|(?:is|are|was|were|did|do|does)n['\u2019]t"
    r"|nicht|ohne|außer|kein[a-z]*)"
    r"(?:\s+[\w'-]+){0,2}\s*$",
    re.IGNORECASE,
)
_COMPARISONS = (
    (">=", r"at least|no less than|from|or more|mindestens|ab"),
    ("<=", r"at most|no more than|up to|maximum|höchstens|maximal|bis(?: zu)?"),
    (
        ">",
        r"more than|over|above|exceed(?:s|ing|ed)?|greater than|larger than|longer than|"
        r"higher than|"
        r"bigger than|older than|mehr als|über|länger als|größer als|höher als|teurer als|plus de",
    ),
    (
        "<",
        r"less than|under|below|fewer than|smaller than|shorter than|lower than|cheaper than|"
        r"younger than|weniger als|unter|kürzer als|kleiner als|billiger als|moins de",
    ),
)
_AFTER = (
    (">=", r"\s*(?:[^\W\d_]+\s)?(?:or|oder)\s(?:more|longer|mehr|länger)"),
    ("<=", r"\s*(?:[^\W\d_]+\s)?(?:or|oder)\s(?:less|fewer|weniger)"),
)
_BETWEEN = re.compile(r"\b(?:between|zwischen)\s*$", re.IGNORECASE)


_ENDS = frozenset(
    [
        "closed",
        "resolved",
        "finished",
        "completed",
        "paid",
        "returned",
        "abgeschlossen",
        "erledigt",
        "bezahlt",
    ]
)
_OPEN = frozenset(
    [
        "open",
        "unresolved",
        "unpaid",
        "unfinished",
        "pending",
        "outstanding",
        "offen",
        "offene",
        "offenen",
        "unbezahlt",
    ]
)
_ENDED = frozenset(
    ["closed", "resolved", "finished", "completed", "erledigt", "abgeschlossen", "geschlossen"]
)


DAY_END = "T24"
"""Later than every time of a day, as text."""

YES = frozenset(["yes", "true", "ja", "wahr", "y", "1"])
NO = frozenset(["no", "false", "nein", "falsch", "n", "0"])


@dataclass(frozen=True, slots=True)
class QueryCondition:
    """A condition in SQL. ``column``: its column, "" for none or several.

    ``note``: what was assumed, such as a year that the question does not name.
    """

    sql: str
    column: str
    note: str = ""


def literal(value: str | float) -> str:
    """Write a value as a literal of SQL."""
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def value_conditions(link: TableLink) -> list[list[QueryCondition]]:
    """Return, for each value that the question names, its possible conditions."""
    maximal = [one for one in link.values if not _is_part(one, link.values)]
    by_words: dict[tuple[Word, ...], dict[str, list[ValueLink]]] = {}
    for one in maximal:
        by_words.setdefault(one.words, {}).setdefault(one.column.name, []).append(one)
    slots: dict[str, list[ValueLink]] = {}
    alternatives: list[list[QueryCondition]] = []
    linked = {column.name for column, _ in link.columns}
    for columns in by_words.values():
        names = [name for name in columns if name in linked] or list(columns)
        # a name is sooner asked about by what it is related to than by the row of its own
        related = [name for name in names if not _is_key(link, name)]
        names = related or names
        if len(names) == 1:
            slots.setdefault(names[0], []).extend(columns[names[0]])
            continue
        alternatives.append([_value_condition(link, name, columns[name]) for name in names])
    fixed = [[_value_condition(link, name, links)] for name, links in slots.items()]
    return fixed + alternatives


def _is_key(link: TableLink, name: str) -> bool:
    column = link.table.column(name)
    return column is not None and column.is_key


def _is_part(one: ValueLink, links: Sequence[ValueLink]) -> bool:
    """Return whether another value holds all words of a link and more, or names the table only."""
    own = set(one.words)
    return any(own < set(other.words) and other.exact for other in links)


def _value_condition(link: TableLink, name: str, links: Sequence[ValueLink]) -> QueryCondition:
    question = link.parts.question
    wanted: list[str] = []
    unwanted: list[str] = []
    for one in links:
        negated = _NOT.search(question[: one.words[0].start])
        (unwanted if negated else wanted).append(one.value)
    column = links[0].column
    parts = [_among(column, wanted, "IN")] if wanted else []
    parts += [_among(column, unwanted, "NOT IN")] if unwanted else []
    # several values for the same words, such as two people of one name
    spans = [one.words for one in links]
    sure = all(one.exact for one in links) or len(set(spans)) == len(spans)
    note = "" if sure else f"“{links[0].words[0].text}” may be any of {len(links)} values"
    return QueryCondition(" AND ".join(parts), name, note)


def _among(column: Column, values: Sequence[str], operator: str) -> str:
    name = column.name
    if column.is_list:
        held = [
            f"'{LIST}' || {quote(name)} || '{LIST}' LIKE {literal(f'%{LIST}{value}{LIST}%')}"
            for value in values
        ]
        either = f"({' OR '.join(held)})"
        return either if operator == "IN" else f"NOT {either}"
    if len(values) == 1:
        sign = "=" if operator == "IN" else "<>"
        return f"{quote(name)} {sign} {literal(values[0])}"
    return f"{quote(name)} {operator} ({', '.join(map(literal, values))})"


def period_conditions(link: TableLink, database: TableDatabase) -> list[list[QueryCondition]]:
    """Return, for each period of the question, its possible conditions.

    Periods next to each other, as in "in May and June", are alternatives of one condition.
    """
    dates = [column for column in link.table.columns if column.kind == "date"]
    linked = [column for column, _ in link.columns if column.kind == "date"]
    columns = linked[:1] if len(linked) == 1 else linked or dates
    if not link.periods:
        return []
    return [[_join_periods(link, column, database) for column in columns]]


def _join_periods(link: TableLink, column: Column, database: TableDatabase) -> QueryCondition:
    parts, notes = [], []
    for period in link.periods:
        sql, note = _within(period, link, column, database)
        parts.append(sql)
        notes.append(note)
    sql = parts[0] if len(parts) == 1 else f"({' OR '.join(parts)})"
    return QueryCondition(sql, column.name, "; ".join(filter(None, notes)))


def _within(
    period: NamedPeriod, link: TableLink, column: Column, database: TableDatabase
) -> tuple[str, str]:
    name = quote(column.name)
    if period.first:
        return is_within(name, period), ""
    months = ", ".join(literal(f"{month:02}") for month in period.months)
    inside = f"substr({name}, 6, 2) IN ({months})"
    rows = database.run(
        f"SELECT DISTINCT substr({name}, 1, 4) FROM {quote(link.table.name)} "
        f"WHERE {inside} ORDER BY 1 DESC"
    ).rows
    years = [str(row[0]) for row in rows]
    if len(years) <= 1:
        return inside, ""
    note = f"the question names no year; {period.text} of {', '.join(years)} is counted"
    return inside, note


def is_within(name: str, period: NamedPeriod) -> str:
    """Write that a column is within a period that has a first and a last day."""
    # "2026-05" without a day is in a period from the first of May; the end of a day has a time
    first, last = literal(period.first.removesuffix("-01")), literal(period.last + DAY_END)
    return f"{name} BETWEEN {first} AND {last}"


def text_conditions(link: TableLink) -> list[list[QueryCondition]]:
    """Return, for each word that no value equals, the condition that the row's texts hold it."""
    texts = [quote(column.name) for column in link.table.columns if column.kind == "text"]
    if not texts:
        return []
    slots = []
    for word in link.contained:
        part = literal(f"%{stem(word.folded)}%")
        sql = " OR ".join(f"{name} LIKE {part}" for name in texts)
        note = f"“{word.text}” is looked for in the texts of the rows"
        slots.append([QueryCondition(f"({sql})", "", note)])
    return slots


def number_conditions(link: TableLink) -> list[list[QueryCondition]]:
    """Return, for each number that a value is compared with, its possible conditions."""
    numeric = [column for column in link.table.columns if column.kind == "number"]
    values = [column for column in numeric if not column.is_key] or numeric
    linked = [column for column, _ in link.columns if column in values]
    columns = linked or values
    slots = []
    numbers = list(link.parts.numbers)
    while numbers:
        number = numbers.pop(0)
        before, after = link.parts.question[: number.start], link.parts.question[number.end :]
        if _BETWEEN.search(before) and numbers:
            last = numbers.pop(0)
            ends = replace(number, unit=number.unit or last.unit), last
            test = partial(_write_test, "BETWEEN", ends)
        elif sign := _comparison(before, after):
            test = partial(_write_test, sign, (number,))
        elif _is_limit(number, link):
            continue
        else:
            test = partial(_write_test, "=", (number,))
        near = _nearest_first(number, columns, link)
        slots.append(
            [QueryCondition(f"{quote(column.name)} {test(column)}", column.name) for column in near]
        )
    return slots


def _write_test(sign: str, numbers: Sequence[NumberLink], column: Column) -> str:
    """Write a comparison with numbers in the unit of a column."""
    unit = unit_of_column(column)
    written = [f"{convert(number.number, number.unit, unit):.12g}" for number in numbers]
    return f"{sign} {' AND '.join(written)}"


def unit_of_column(column: Column) -> str | None:
    """Return the unit of a column, by its cells or its name; None without one."""
    words = (column.unit, *(word.text for word in words_of(split_name(column.name))))
    return next(filter(None, (unit_of(fold(word)) for word in words)), None)


def state_conditions(link: TableLink) -> list[list[QueryCondition]]:
    """Return the condition of "open" or "closed" for a table with the day of the end of a row."""
    columns = [
        column
        for column in link.table.columns
        if column.kind == "date"
        and any(fold(word.text) in _ENDS for word in words_of(split_name(column.name)))
    ]
    linked = {word for one in link.values for word in one.words}
    words = {word.folded for word in link.parts.words if word not in linked}
    if not columns or not words & {*_OPEN, *_ENDED}:
        return []
    name = quote(columns[0].name)
    test = f"{name} IS NULL" if words & _OPEN else f"{name} IS NOT NULL"
    return [[QueryCondition(test, "")]]


def flag_conditions(link: TableLink) -> list[list[QueryCondition]]:
    """Return the condition of each yes-or-no column that the question names: "insured"."""
    used = {one.column.name for one in link.values}
    slots = []
    for column, words in link.columns:
        values = {fold(value): value for value in column.values}
        if not 0 < len(values) <= 2 or not set(values) <= {*YES, *NO} or column.name in used:
            continue
        negated = _NOT.search(link.parts.question[: words[0].start])
        wanted = [value for folded, value in values.items() if (folded in NO) == bool(negated)]
        test = f"{quote(column.name)} = {literal(wanted[0])}" if wanted else "0"
        slots.append([QueryCondition(test, column.name)])
    return slots


def limit_of(link: TableLink) -> int | None:
    """Return the number of "the top 3" or "the five highest"; None without one."""
    return next((int(n.number) for n in link.parts.numbers if _is_limit(n, link)), None)


_SUPERLATIVE = re.compile(
    r"^\s*(?:most|least|highest|lowest|largest|biggest|smallest|longest|shortest|latest|newest|oldest|"
    r"\w+est\b|\w+sten\b)",
    re.IGNORECASE,
)


def _is_limit(number: NumberLink, link: TableLink) -> bool:
    question = link.parts.question
    before, after = question[: number.start], question[number.end :]
    is_top = re.search(r"\btop\s*$", before, re.IGNORECASE)
    return bool(is_top or _SUPERLATIVE.match(after))


def _comparison(before: str, after: str) -> str:
    for sign, words in _COMPARISONS:
        if re.search(
            rf"\b(?:{words})\s+(?:the\s+|[A-Z]{{3}}\s*)?[€$£]?\s*$", before, re.IGNORECASE
        ):
            return sign
    return next((sign for sign, words in _AFTER if re.match(words, after, re.IGNORECASE)), "")


def _nearest_first(number: NumberLink, columns: Sequence[Column], link: TableLink) -> list[Column]:
    """Return the columns that the number may be of; only the one whose name is next to it."""
    places = {
        column.name: min(abs(word.start - number.end) for word in words)
        for column, words in link.columns
        if words
    }
    named = [column for column in columns if column.name in places]
    if not named:
        return list(columns)
    return [min(named, key=lambda column: places[column.name])]


def combinations(slots: Sequence[Sequence[QueryCondition]]) -> Iterator[tuple[QueryCondition, ...]]:
    """Yield every choice of one condition from each slot, the first choices first."""
    if not slots:
        yield ()
        return
    for condition in slots[0]:
        for rest in combinations(slots[1:]):
            yield (condition, *rest)
