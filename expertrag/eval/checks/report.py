"""Checks a report: its form, and that every figure is a finite number."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from expertrag.eval.checks.findings import Findings
from expertrag.eval.report import parts_of
from expertrag.eval.report.reading import items, mapping, number
from expertrag.eval.report.sections import KINDS
from expertrag.eval.types import JSON, Comparison

_OBJECTS: Mapping[str, tuple[str, ...]] = {
    "retrieval": ("datasets", "intervals", "comparisons", "per_query", "sizes", "mean"),
    "gate": ("pooled", "sets", "comparisons", "per_query"),
    "answer": ("pooled", "sets", "comparisons", "per_query"),
    "cost": ("pooled", "sets", "per_query"),
    "consistency": ("pooled", "sets", "per_query", "rewrites"),
    "compare": ("a", "b", "comparisons"),
}
"""Keys of each kind that hold an object."""

_MANIFEST_STRINGS = ("id", "command", "version", "commit", "created_at")
_MANIFEST_OBJECTS = ("inputs", "machine")
_COMPARED = tuple(
    field.name for field in dataclasses.fields(Comparison) if field.name not in ("metric", "a", "b")
)


def check_report(path: Path, findings: Findings) -> Mapping[str, int]:
    """Find the faults of a report, or of each report in a combined one."""
    try:
        report = json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        findings.fault(path, error.lineno, f"is not JSON: {error.msg}")
        return {}
    except (ValueError, RecursionError) as error:
        findings.fault(path, None, f"is not JSON: {str(error).splitlines()[0]}")
        return {}
    figures = 0
    for name, value in _numbers(report):
        figures += 1
        if not math.isfinite(value):
            findings.fault(path, None, f"{name} is {value}, which is no figure")
    parts = parts_of(report)
    for part in parts:
        for fault in _faults(part):
            findings.fault(path, None, fault)
    return {"figures": figures} if len(parts) == 1 else {"reports": len(parts), "figures": figures}


def _faults(report: Mapping[str, JSON]) -> Iterator[str]:
    kind = report.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        yield f"kind is {kind!r}, none of {', '.join(KINDS)}"
        return
    for name in ("manifest", "skipped", *_OBJECTS.get(kind, ())):
        if not isinstance(report.get(name), Mapping):
            yield f"{kind}: {name} is missing or no object"
    manifest = mapping(report, "manifest")
    for name, form in (
        *((name, str) for name in _MANIFEST_STRINGS),
        *((name, Mapping) for name in _MANIFEST_OBJECTS),
    ):
        if manifest and not isinstance(manifest.get(name), form):
            yield f"{kind}: manifest.{name} is missing or of a wrong type"
    yield from _comparison_faults(kind, mapping(report, "comparisons"))


def _comparison_faults(kind: str, comparisons: Mapping[str, JSON]) -> Iterator[str]:
    for name in comparisons:
        for position, item in enumerate(items(comparisons, name)):
            place = f"{kind}: comparisons.{name}.{position}"
            for key in _COMPARED:
                value = number(item, key)
                if value is None:
                    yield f"{place}.{key} is missing or no number"
                elif key.startswith("p_") and not 0 <= value <= 1:
                    yield f"{place}.{key} is {value}, outside 0 to 1"


def _numbers(node: JSON, name: str = "") -> Iterator[tuple[str, float]]:
    """Name every number inside ``node`` by its path, with dots between."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            yield from _numbers(value, f"{name}.{position}")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield name, node
