"""Metadata filters as SQL over the ``documents`` table (alias ``d``).

A field holds a scalar or a list of scalars. A condition holds for a list if it holds for one of its
values. ``$ne`` is the negation of ``$eq``: it holds if no value is equal.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from expertrag_index.errors import FilterError
from expertrag_index.types import Filter

# + takes the type of the column from a comparison: "5" is not 5
COLUMNS = {"domain": "+d.domain", "source": "+d.source"}

# every value of a metadata field: the elements of a list, or the scalar itself
_VALUE = "CASE m.type WHEN 'array' THEN e.value ELSE m.value END"
_VALUES = """json_each(d.metadata) m,
    json_each(CASE m.type WHEN 'array' THEN m.value ELSE '[0]' END) e WHERE m.key = ?"""
_SURROGATE = re.compile("[\ud800-\udfff]")  # SQLite stores UTF-8, which cannot encode them
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_NAMED = 40
"""Most fields that an error names: a store of tables may have thousands."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A SQL condition and the values of its ``?`` placeholders."""

    sql: str
    values: tuple[object, ...]


def compile_filter(wanted: Filter, fields: Iterable[str]) -> Condition:
    """Translate a filter to SQL. ``fields`` are the metadata fields that the store has.

    ``$ne`` also holds for a document without the field; no other operator does. Values of different
    types never compare: SQLite itself would sort every text after every number.

    :raises FilterError: unknown field or operator, or a value that cannot be compared.
    """
    known = {*fields, *COLUMNS}
    for name in wanted:
        if name not in known:
            raise FilterError(f"unknown filter field {name!r}: this store has {_list_names(known)}")
    parts = [
        _compare(name, operator, value)
        for name, condition in wanted.items()
        for operator, value in _operators(name, condition).items()
    ]
    return Condition(
        " AND ".join(part.sql for part in parts) or "1",
        tuple(value for part in parts for value in part.values),
    )


def canonical(wanted: Filter) -> str:
    """Return a filter as JSON, the same for equal filters.

    :raises FilterError: it holds something that is not a JSON value.
    """
    plain = {
        name: dict(value) if isinstance(value, Mapping) else value for name, value in wanted.items()
    }
    try:
        return json.dumps(plain, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise FilterError(f"a filter holds JSON values only: {error}") from error


def _list_names(known: Iterable[str]) -> str:
    names = sorted(known)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _operators(name: str, condition: object) -> Mapping[str, object]:
    if not isinstance(condition, Mapping):
        return {"$eq": condition}
    if not condition:
        raise FilterError(f"filter field {name!r} has no operator: use one of $eq $ne $in $gt …")
    return condition


def _compare(name: str, operator: str, value: object) -> Condition:
    if operator == "$eq":
        return _any(name, "{0} = ?", (_scalar(value),))
    if operator == "$ne":
        equal = _any(name, "{0} = ?", (_scalar(value),))
        return Condition(f"({equal.sql}) IS NOT 1", equal.values)
    if operator == "$in":
        scalars = _scalars(value)
        return _any(name, f"{{0}} IN ({', '.join('?' * len(scalars))})", scalars)
    if operator in _ORDER:
        scalar = _scalar(value)
        types = "('text')" if isinstance(scalar, str) else "('integer', 'real')"
        test = f"(typeof({{0}}) IN {types} AND {{0}} {_ORDER[operator]} ?)"
        return _any(name, test, (scalar,))
    raise FilterError(
        f"unknown filter operator {operator!r}: use one of $eq $ne $in $gt $gte $lt $lte"
    )


def _any(name: str, test: str, values: Sequence[object]) -> Condition:
    """Build the condition that any value of a field passes a test; {0} stands for the value."""
    column = COLUMNS.get(name)
    if column:
        return Condition(test.format(column), tuple(values))
    sql = f"EXISTS (SELECT 1 FROM {_VALUES} AND {test.format(_VALUE)})"
    return Condition(sql, (name, *values))


def _scalars(value: object) -> tuple[str | int | float, ...]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise FilterError("the value of $in must be a list")
    scalars = tuple(_scalar(item) for item in value)
    if len(scalars) > 1000:
        raise FilterError(f"$in takes at most 1,000 values, not {len(scalars):,}")
    return scalars


def _scalar(value: object) -> str | int | float:
    if isinstance(value, bool | int) and abs(value) < 1 << 63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and not _SURROGATE.search(value):
        return value
    if isinstance(value, list | tuple):
        raise FilterError(
            'a filter value must be a scalar, not a list: use {"$in": […]} for one of several'
        )
    raise FilterError(
        f"a filter value must be a string, a finite number or a boolean, not {value!r:.40}"
    )
