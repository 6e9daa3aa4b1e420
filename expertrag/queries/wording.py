"""Word the result of a query: a text, a table, and how complete it is."""

from __future__ import annotations

from dataclasses import dataclass

from expertrag.api.tables import AnswerTable, Coverage
from expertrag.queries.query import currency_column
from expertrag.queries.result import QueryResult, find_other_name, is_first_name
from expertrag_index.tables.database import TableDatabase, quote
from expertrag_retriever.types import QuestionScope, Scalar

LISTED = 30
"""Rows that the text names; the table has all."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the text, and the row of ``QueryResult.rows`` that it is about; None for none."""

    text: str
    row: int | None = None


def to_table(result: QueryResult) -> AnswerTable:
    """Return the rows of an answer with their documents."""
    computed = result.query.target.operation and result.query.target.group
    if computed:
        return AnswerTable(result.values.columns, result.values.rows, (), result.query.sql)
    rows = tuple(row[1:] for row in result.rows.rows)
    sources = tuple((str(row[0]),) for row in result.rows.rows)
    return AnswerTable(result.query.shown, rows, sources, result.query.sql)


def to_coverage(result: QueryResult, database: TableDatabase) -> Coverage:
    """Return what an answer was counted from, and whether it is complete."""
    reasons = [*result.query.notes, *(f"“{word}” was not understood" for word in result.ignored)]
    if result.others:
        reasons.append(f"the question can be read in {result.others + 1} ways")
    elif result.agreed is False:
        reasons.append("it is one reading of the question")
    if result.alike:
        reasons.append(f"“{result.alike}” was not counted and has the same fields")
    if result.rows.more:
        reasons.append(f"only the first {len(result.rows.rows):,} rows are listed")
    empty = _count_empty(result, database)
    if empty:
        columns = " or ".join(f"“{name}”" for name in _list_tested(result))
        reasons.append(f"{empty:,} of {result.total:,} rows have no {columns}")
    matched, read = len(result.rows.rows), result.total - empty
    complete = None if reasons else True
    return Coverage(result.total, matched, read, empty, complete, "; ".join(reasons))


def warn_incomplete(coverage: Coverage) -> str:
    """Return why to check an answer that may not be complete; "" for a complete one."""
    return f"This may not be complete: {coverage.reason}." if coverage.reason else ""


def _count_empty(result: QueryResult, database: TableDatabase) -> int:
    """Count the rows that lack a value that is tested or computed: they may match as well."""
    names = _list_tested(result)
    if not names:
        return 0
    empty = " OR ".join(f"{quote(name)} IS NULL" for name in names)
    source = quote(result.query.table.name)
    (row,) = database.run(f"SELECT COUNT(*) FROM {source} WHERE {empty}").rows
    return int(row[0] or 0)


def _list_tested(result: QueryResult) -> tuple[str, ...]:
    measure = result.query.target.measure
    names = [condition.column for condition in result.query.conditions if condition.column]
    return tuple(dict.fromkeys([*names, *([measure] if measure else [])]))


def to_lines(result: QueryResult, decimals: int) -> list[Line]:
    """Word a result, one line for each row that is named."""
    target = result.query.target
    if result.scope is QuestionScope.EXISTS:
        return _existence(result)
    if target.group:
        return [
            Line(_group_line(result, row, decimals)) for row in result.values.rows[:LISTED]
        ] or [_nothing(result)]
    if target.operation == "COUNT":
        return _count(result)
    if target.operation:
        return [Line(_write_computed(result, decimals))]
    return _rows(result)


def _nothing(result: QueryResult) -> Line:
    return Line(f"None: none of the {result.total:,} rows of “{_source(result)}” matches.")


def _count(result: QueryResult) -> list[Line]:
    number = result.values.rows[0][0]
    name = _source(result)
    if result.query.target.distinct:
        at = result.query.target.measure
        values = sorted({str(cell) for cell in _column(result, at) if cell is not None})
        listed = f": {', '.join(values[:LISTED])}" if len(values) <= LISTED else ""
        return [Line(f"{number} different values of “{at}” in “{name}”{listed}.")]
    if not number:
        return [Line(f"0: none of the {result.total:,} rows of “{name}” matches.")]
    if not result.query.conditions:
        return [Line(f"{number:,} (all rows of “{name}”).")]
    head = Line(f"{number:,} of {result.total:,} in “{name}”:")
    return [head, *_bullets(result)]


def _existence(result: QueryResult) -> list[Line]:
    matched, total = len(result.rows.rows), result.total
    name = _source(result)
    if result.every:
        if matched == total and total:
            return [Line(f"Yes, all {total:,} in “{name}”.")]
        return [Line(f"No, {matched:,} of {total:,} in “{name}”:"), *_bullets(result)]
    if not matched:
        return [Line(f"No, none of the {total:,} rows of “{name}” matches.")]
    return [Line(f"Yes, {matched:,} of {total:,} in “{name}”:"), *_bullets(result)]


def _rows(result: QueryResult) -> list[Line]:
    if not result.rows.rows:
        return [_nothing(result)]
    return _bullets(result)


def _bullets(result: QueryResult) -> list[Line]:
    rows = result.rows.rows
    if result.query.target.limit == 1 and not result.query.target.operation:
        wanted = set(result.values.rows)
        rows = tuple(row for row in rows if row[1:] in wanted) or rows
    lines = [Line(f"- {_describe(result, row[1:])}", at) for at, row in enumerate(rows[:LISTED])]
    if len(rows) > LISTED:
        lines.append(Line(f"- and {len(rows) - LISTED:,} more, in the table"))
    return lines


def _describe(result: QueryResult, cells: tuple[Scalar | None, ...]) -> str:
    """Name a row by its first cell; the others follow with the names of their columns."""
    first, *others = zip(result.query.shown, cells, strict=True)
    name = str(first[1]) if first[1] is not None else "?"
    other = find_other_name(result.query.table, first[0])
    if others and other and others[0][0] == other:
        both = (name, str(others[0][1] or ""))
        name = " ".join(both if is_first_name(first[0]) else reversed(both)).strip()
        others = others[1:]
    told = [f"{name}: {_cell(result, name, cell)}" for name, cell in others if cell is not None][:4]
    return f"{name} ({', '.join(told)})" if told else name


def _cell(result: QueryResult, name: str, cell: Scalar | None) -> str:
    column = result.query.table.column(name)
    unit = f" {column.unit}" if column and column.unit else ""
    return f"{cell}{unit}"


def _write_computed(result: QueryResult, decimals: int) -> str:
    target = result.query.target
    names = {"SUM": "sum", "AVG": "average", "MAX": "maximum", "MIN": "minimum"}
    over = f"over {len(result.rows.rows):,} rows of “{_source(result)}”"
    what = f"{names[target.operation]} of “{target.measure}” {over}"
    if not result.rows.rows:
        return _nothing(result).text
    amounts = [_amount(result, row, decimals) for row in result.values.rows]
    return f"{' and '.join(amounts)} ({what})."


def _amount(result: QueryResult, row: tuple[Scalar | None, ...], decimals: int) -> str:
    """Write a computed number with its unit; a currency stands in the first cell."""
    number = format_number(
        row[-1], decimals if result.query.target.operation == "SUM" else max(decimals, 2)
    )
    if result.query.currency:
        return f"{number} {row[-2]}"
    return f"{number} {_unit(result)}".strip()


def _unit(result: QueryResult) -> str:
    """Return the unit of the measure, or the currency that all of its rows have."""
    column = result.query.table.column(result.query.target.measure)
    if column and column.unit:
        return column.unit
    codes = currency_column(result.query.table)
    if codes is None:
        return ""
    known = {cell for cell in _column(result, codes.name) if cell is not None} or {*codes.values}
    return str(known.pop()) if len(known) == 1 else ""


def _group_line(result: QueryResult, row: tuple[Scalar | None, ...], decimals: int) -> str:
    if result.query.target.operation == "COUNT":
        return f"- {row[0]} ({row[-1]:,})"
    return f"- {row[0]}: {_amount(result, row, decimals)}"


def format_number(number: Scalar | None, decimals: int) -> str:
    """Write a number with separators of thousands, and at most so many decimals."""
    if isinstance(number, float):
        rounded = round(number, decimals)
        return (
            f"{int(rounded):,}"
            if rounded == int(rounded) and not decimals
            else f"{rounded:,.{decimals}f}"
        )
    return f"{number:,}" if isinstance(number, int) else str(number)


def _column(result: QueryResult, name: str) -> list[Scalar | None]:
    if name not in result.query.shown:
        return []
    at = result.query.shown.index(name) + 1
    return [row[at] for row in result.rows.rows]


def _source(result: QueryResult) -> str:
    names = result.query.table.names
    return names[0].lstrip("# ") if names else result.query.table.name
