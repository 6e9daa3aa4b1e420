"""The required structure of a report; checked when reading reports and by ``eval validate``."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from expertrag_lab.data.types import JSON
from expertrag_lab.eval.report.reading import items, mapping, number
from expertrag_lab.eval.report.sections import KINDS
from expertrag_lab.metrics.types import Comparison

COMBINED = "combined"

_LEVELS: Mapping[str, Mapping[str, int]] = {
    "retrieval": {"datasets": 3, "intervals": 3, "per_query": 4, "sizes": 2, "mean": 2},
    "gate": {"pooled": 2, "sets": 3, "per_query": 3},
    "answer": {"pooled": 2, "sets": 3, "per_query": 4},
    "cost": {"pooled": 1, "sets": 2, "per_query": 4},
    "consistency": {"pooled": 1, "sets": 2, "per_query": 3, "rewrites": 1},
    "compare": {"a": 1, "b": 1},
}
"""Keys of each kind that hold an object, and the number of nested levels of objects."""

_COMPARING = ("retrieval", "gate", "answer", "compare")
"""Kinds with ``comparisons``."""

_MANIFEST = {
    **dict.fromkeys(("id", "command", "version", "commit", "created_at"), str),
    **dict.fromkeys(("inputs", "machine"), Mapping),
}
_SKIPPED = ("id", "reason")
_COMPARED = tuple(
    field.name for field in dataclasses.fields(Comparison) if field.name not in ("metric", "a", "b")
)


def parts_of(report: Mapping[str, JSON]) -> list[Mapping[str, JSON]]:
    """Return the reports inside a combined one, or the one report itself."""
    if report.get("kind") != COMBINED:
        return [report]
    return [item for item in items(report, "reports") if isinstance(item, Mapping)]


def faults(report: JSON) -> Iterator[str]:
    """Yield the faults of the JSON of a report, or of the reports in a combined one."""
    if not isinstance(report, Mapping):
        yield "it is not a JSON object"
        return
    for name, value in numbers(report):
        if not abs(value) <= sys.float_info.max:  # also true for NaN; an integer may be too large
            yield f"{name} is {_short(value)}, which is not a finite number"
    if report.get("kind") == COMBINED:
        reports = items(report, "reports")
        if not reports or not all(isinstance(item, Mapping) for item in reports):
            yield "combined: reports is missing or not a list of reports"
    for part in parts_of(report):
        yield from _part_faults(part)


def numbers(node: JSON, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield every number inside ``node`` with its dotted path."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from numbers(value, f"{name}.{key}" if name else str(key))
    elif _is_list(node):
        for position, value in enumerate(node):
            yield from numbers(value, f"{name}.{position}")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield name, node


def _part_faults(report: Mapping[str, JSON]) -> Iterator[str]:
    kind = report.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        yield f"kind is {kind!r}, not one of {', '.join(KINDS)}"
        return
    levels = {"manifest": 1, "skipped": 1, **_LEVELS[kind]}
    if kind in _COMPARING:
        levels["comparisons"] = 1
    for name, depth in levels.items():
        yield from _object_faults(f"{kind}: {name}", report.get(name), depth)
    manifest = mapping(report, "manifest")
    for name, form in _MANIFEST.items():
        if manifest and not isinstance(manifest.get(name), form):
            yield f"{kind}: manifest.{name} is missing or has the wrong type"
    yield from _value_faults(f"{kind}: per_query", report.get("per_query"))
    yield from _comparison_faults(kind, mapping(report, "comparisons"))
    yield from _find_skipped_faults(kind, mapping(report, "skipped"))


def _object_faults(place: str, node: JSON, levels: int) -> Iterator[str]:
    if not isinstance(node, Mapping):
        yield f"{place} is missing or not an object"
    elif levels > 1:
        for name, child in node.items():
            yield from _object_faults(f"{place}.{name}", child, levels - 1)


def _value_faults(place: str, node: JSON) -> Iterator[str]:
    """Yield the values per query that are not numbers, which no test can use."""
    if isinstance(node, Mapping):
        for name, child in node.items():
            if isinstance(child, Mapping):
                yield from _value_faults(f"{place}.{name}", child)
            elif number(child) is None:
                yield f"{place}.{name} is not a number"


def _comparison_faults(kind: str, comparisons: Mapping[str, JSON]) -> Iterator[str]:
    for name, values in comparisons.items():
        if not _is_list(values):
            yield f"{kind}: comparisons.{name} is not a list"
        for position, item in enumerate(items(values)):
            place = f"{kind}: comparisons.{name}.{position}"
            for key in _COMPARED:
                value = number(item, key)
                if value is None:
                    yield f"{place}.{key} is missing or not a number"
                elif key.startswith("p_") and not 0 <= value <= 1:
                    yield f"{place}.{key} is {value}, outside 0 to 1"


def _find_skipped_faults(kind: str, skipped: Mapping[str, JSON]) -> Iterator[str]:
    for name, values in skipped.items():
        if not _is_list(values):
            yield f"{kind}: skipped.{name} is not a list"
        for position, item in enumerate(items(values)):
            place = f"{kind}: skipped.{name}.{position}"
            for key in _SKIPPED:
                if not isinstance(mapping(item).get(key), str):
                    yield f"{place}.{key} is missing or not a string"
            if not isinstance(mapping(item).get("retry", False), bool):
                yield f"{place}.retry is neither true nor false"


def _is_list(node: JSON) -> TypeGuard[Sequence[JSON]]:
    return isinstance(node, Sequence) and not isinstance(node, str)


def _short(value: float) -> str:
    return str(value) if isinstance(value, float) else "an integer with too many digits"
