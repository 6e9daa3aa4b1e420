"""Metadata filters as SQL over the ``documents`` table (alias ``d``)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from expertrag_index.errors import FilterError
from expertrag_index.types import Filter

COLUMNS = {"domain": "d.domain", "source": "d.source"}

_METADATA = "(SELECT m.value FROM json_each(d.metadata) m WHERE m.key = ?)"
_SURROGATE = re.compile("[\ud800-\udfff]")  # SQLite stores UTF-8, which has none
_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


@dataclass(frozen=True, slots=True)
class Condition:
    """A SQL condition and the values of its ``?`` marks."""

    sql: str
    values: tuple[object, ...]


def compile_filter(wanted: Filter, fields: Iterable[str]) -> Condition:
    """Translate a filter. ``fields`` are the metadata fields that the store has.

    ``$ne`` also holds for a document without the field; every other operator does not. Values
    of different types never compare: SQLite alone would put every text after every number.

    :raises FilterError: unknown field or operator, or a value that cannot be compared.
    """
    known = sorted({*fields, *COLUMNS})
    parts = [
        _compare(_column(name, known), operator, value)
        for name, condition in wanted.items()
        for operator, value in _operators(name, condition).items()
    ]
    return Condition(
        " AND ".join(part.sql for part in parts) or "1",
        tuple(value for part in parts for value in part.values),
    )


def _operators(name: str, condition: object) -> Mapping[str, object]:
    if not isinstance(condition, Mapping):
        return {"$eq": condition}
    if not condition:
        raise FilterError(f"filter field {name!r} has no operator: use one of $eq $ne $in $gt …")
    return condition


def _column(name: str, known: list[str]) -> Condition:
    if name not in known:
        raise FilterError(f"unknown filter field {name!r}: this store has {', '.join(known)}")
    column = COLUMNS.get(name)
    return Condition(column, ()) if column else Condition(_METADATA, (name,))


def _compare(column: Condition, operator: str, value: object) -> Condition:
    if operator == "$eq":
        return Condition(f"{column.sql} = ?", (*column.values, _scalar(value)))
    if operator == "$ne":
        return Condition(f"{column.sql} IS NOT ?", (*column.values, _scalar(value)))
    if operator == "$in":
        return _member(column, value)
    if operator in _ORDER:
        scalar = _scalar(value)
        types = "('text')" if isinstance(scalar, str) else "('integer', 'real')"
        return Condition(
            f"(typeof({column.sql}) IN {types} AND {column.sql} {_ORDER[operator]} ?)",
            (*column.values, *column.values, scalar),
        )
    raise FilterError(
        f"unknown filter operator {operator!r}: use one of $eq $ne $in $gt $gte $lt $lte"
    )


def _member(column: Condition, value: object) -> Condition:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise FilterError("the value of $in must be a list")
    scalars = tuple(_scalar(item) for item in value)
    if len(scalars) > 1000:
        raise FilterError(f"$in takes at most 1,000 values, not {len(scalars):,}")
    marks = ", ".join("?" * len(scalars))
    return Condition(f"{column.sql} IN ({marks})", (*column.values, *scalars))


def _scalar(value: object) -> str | int | float:
    if isinstance(value, bool | int) and abs(value) < 1 << 63:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and not _SURROGATE.search(value):
        return value
    raise FilterError(
        f"a filter value must be a string, a finite number or a boolean, not {value!r:.40}"
    )
