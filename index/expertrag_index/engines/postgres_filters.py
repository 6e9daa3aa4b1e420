"""Metadata filters as conditions on the column ``fields`` (jsonb) of PostgreSQL.

``fields`` holds every field as a list (see ``VectorBatch``). A filter means what
it means in ``expertrag_index.search.filters``, which has checked it before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import LiteralString

from expertrag_index.types import Filter

_ORDER = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

Parameters = list[object]


def conditions(wanted: Filter) -> tuple[LiteralString, Parameters]:
    """Return a filter as SQL with ``%s`` placeholders, and their values."""
    parts: list[LiteralString] = []
    values: Parameters = []
    for name, condition in wanted.items():
        operators = condition if isinstance(condition, Mapping) else {"$eq": condition}
        for operator, value in operators.items():
            sql, own = _compare(name, operator, value)
            parts.append(sql)
            values += own
    return " AND ".join(parts) or "true", values


def as_json(value: object) -> str:
    """Serialise for jsonb, which cannot hold the character 0."""
    return json.dumps(value, ensure_ascii=False).replace("\\u0000", "\\ufffd")


def _compare(name: str, operator: str, value: object) -> tuple[LiteralString, Parameters]:
    if operator == "$eq":
        return "fields @> %s::jsonb", [_holding(name, value)]
    if operator == "$ne":
        return "NOT fields @> %s::jsonb", [_holding(name, value)]
    if operator == "$in":
        assert isinstance(value, Iterable)
        return "fields @> ANY (%s::jsonb[])", [[_holding(name, item) for item in value]]
    order = _ORDER[operator]
    # values of different types never compare in a jsonpath, and texts by code point
    path = f"$.{as_json(name)}[*] ? (@ {order} $v)"
    compared = as_json({"v": _plain(value)})
    return "jsonb_path_exists(fields, %s::jsonpath, %s::jsonb)", [path, compared]


def _holding(name: str, value: object) -> str:
    return as_json({name: [_plain(value)]})


def _plain(value: object) -> object:
    return int(value) if isinstance(value, bool) else value
