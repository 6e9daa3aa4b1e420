"""The lines of ``recorded_run.py``'s records, and how two records differ."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SHOWN_ROWS, SHOWN_FIELDS, SHOWN_CHARACTERS = 20, 6, 160

Row = Mapping[str, Any]
"""A line of a record: ``key`` says which value it is, ``value`` is what is compared."""


def line(row: Row) -> str:
    """Write a row as compact JSON."""
    return json.dumps(row, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def differences(recorded: Iterable[Row], current: Iterable[Row]) -> list[str]:
    """Return lines that say where two runs differ; none if they are the same."""
    before, after = (
        {line(row["key"]): row["value"] for row in rows} for rows in (recorded, current)
    )
    different = [key for key in before | after if before.get(key) != after.get(key)]
    lines = []
    for key in different[:SHOWN_ROWS]:
        if key not in after or key not in before:
            lines += [key, f"  only in the {'record' if key in before else 'current run'}"]
            continue
        fields = list(differing_fields(before[key], after[key]))
        lines += [key, *(f"  {field}" for field in fields[:SHOWN_FIELDS])]
        if len(fields) > SHOWN_FIELDS:
            lines.append(f"  and {len(fields) - SHOWN_FIELDS} other fields")
    if different:
        lines.append(f"{len(different)} of {len(before | after)} values differ")
    return lines


def differing_fields(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Yield each leaf that differs with its path, as ``usage.lm_calls: 2 -> 3``."""
    if isinstance(before, list) and isinstance(after, list):
        before, after = dict(enumerate(before)), dict(enumerate(after))
    if isinstance(before, dict) and isinstance(after, dict):
        for key in before | after:
            absent = "(absent)"
            old, new = before.get(key, absent), after.get(key, absent)
            if old != new:
                yield from differing_fields(old, new, f"{path}.{key}" if path else str(key))
    else:
        yield f"{path}: {shown(before)} -> {shown(after)}"


def shown(value: Any) -> str:
    """Write a value, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
