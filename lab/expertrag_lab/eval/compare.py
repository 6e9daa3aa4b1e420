"""Compare two reports of the same kind, with paired tests on the same queries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag_lab.data.types import JSON
from expertrag_lab.eval.manifest import make_manifest
from expertrag_lab.eval.report.reading import flat, mapping, number, string
from expertrag_lab.metrics.types import Comparison

if TYPE_CHECKING:
    from expertrag_index.types import Progress

_Report = Mapping[str, JSON]
_Key = tuple[str, ...]

_SAME_RUN = ("id", "created_at")
"""Manifest fields that differ between any two runs, or only because other fields differ."""


def compare_reports(
    a: _Report, b: _Report, names: tuple[str, str], progress: Progress, *, seed: int = 0
) -> dict[str, JSON]:
    """Compare every measure that both reports have, query by query.

    Differences are ``b`` minus ``a``; p-values are Holm-adjusted over all comparisons. Queries in
    only one report are in ``skipped``; sets, systems or metrics in only one are in ``unpaired``.

    :param names: names of the two reports in the comparison.
    :raises InvalidArgument: the reports are of different kinds, or have no values per query.
    :raises Conflict: the reports share no query.
    """
    kind = _common_kind(a, b, names)
    values, others = (
        {_complete(key, kind): per_query for key, per_query in _measures(report.get("per_query"))}
        for report in (a, b)
    )
    paired = [key for key in values if values[key].keys() & others.get(key, {}).keys()]
    if not paired:
        raise Conflict(
            f"{names[0]} and {names[1]} have no query, system and metric in common; compare "
            "reports on the same data sets",
            reason="NOTHING_IN_COMMON",
        )
    comparisons = _compare(paired, values, others, names, progress, seed)
    return {
        "kind": "compare",
        "of": kind,
        "manifest": asdict(make_manifest("compare", {**_identity(a, b), "seed": seed})),
        "a": _summary(a, names[0]),
        "b": _summary(b, names[1]),
        "differs": list(_differs(mapping(a, "manifest"), mapping(b, "manifest"))),
        "comparisons": comparisons,
        "figures": _figures(a, b),
        "unpaired": [
            *_find_unpaired(values, others, names[0]),
            *_find_unpaired(others, values, names[1]),
        ],
        "skipped": _list_skipped(paired, values, others, names),
    }


def _common_kind(a: _Report, b: _Report, names: tuple[str, str]) -> str:
    kinds = string(a, "kind"), string(b, "kind")
    if kinds[0] != kinds[1]:
        raise InvalidArgument(
            f"{names[0]} is of kind {kinds[0]}, {names[1]} of kind {kinds[1]}; compare two reports "
            "of the same kind"
        )
    if not mapping(a, "per_query"):
        raise InvalidArgument(
            f"{names[0]} is of kind {kinds[0]}, which has no values per query; compare reports "
            "of 'expertrag eval retrieval', 'gate', 'answer', 'cost' or 'consistency'"
        )
    return kinds[0]


def _measures(node: JSON, key: _Key = ()) -> Iterator[tuple[_Key, dict[str, float]]]:
    """Yield the objects that map query ids to numbers, each with its path."""
    children = mapping(node)
    values = {name: value for name in children if (value := number(children, name)) is not None}
    if values:
        yield key, values
    for name, child in children.items():
        if isinstance(child, Mapping):
            yield from _measures(child, (*key, name))


def _complete(key: _Key, kind: str) -> _Key:
    """Complete a path to set, system, metric: gates lack the metric, consistency the system."""
    if len(key) > 2:
        return key
    return (*key, "accuracy") if kind == "gate" else (key[0], "", *key[1:])


def _compare(
    paired: list[_Key],
    values: Mapping[_Key, Mapping[str, float]],
    others: Mapping[_Key, Mapping[str, float]],
    names: tuple[str, str],
    progress: Progress,
    seed: int,
) -> dict[str, JSON]:
    from expertrag_lab.metrics import stats

    comparisons: list[Comparison] = []
    means = []
    for done, key in enumerate(paired):
        progress("testing", done, len(paired))
        ids = sorted(values[key].keys() & others[key].keys())
        left, right = [values[key][i] for i in ids], [others[key][i] for i in ids]
        means.append({"mean_a": fmean(left), "mean_b": fmean(right)})
        comparisons.append(stats.compare(key[-1], names[0], left, names[1], right, seed=seed))
    progress("testing", len(paired), len(paired))
    by_set: dict[str, list[JSON]] = {}
    for key, pair, comparison in zip(paired, means, stats.adjust(comparisons), strict=True):
        entry = {"system": "/".join(key[1:-1]), **pair, **asdict(comparison)}
        by_set.setdefault(key[0], []).append(entry)
    return dict(by_set)


def _differs(a: _Report, b: _Report) -> Iterator[JSON]:
    left, right = dict(flat(a)), dict(flat(b))
    for field in (*left, *(name for name in right if name not in left)):
        old, new = left.get(field), right.get(field)
        if field not in _SAME_RUN and old != new:
            yield {"field": field, "a": old, "b": new}


def _identity(a: _Report, b: _Report) -> dict[str, JSON]:
    return {name: string(report, "manifest", "id") for name, report in (("a", a), ("b", b))}


def _summary(report: _Report, name: str) -> JSON:
    fields = ("id", "commit", "version", "created_at")
    return {"name": name, **{field: string(report, "manifest", field) for field in fields}}


def _figures(a: _Report, b: _Report) -> dict[str, JSON]:
    """Return the gate's figures in both reports: aggregates over all questions, without a test."""
    left, right = dict(_gates(a)), dict(_gates(b))
    return {
        name: [
            {"figure": figure, "a": old, "b": new, "difference": new - old}
            for figure in left[name]
            if figure != "n"
            and (old := number(left[name], figure)) is not None
            and (new := number(right[name], figure)) is not None
        ]
        for name in left
        if name in right
    }


def _gates(report: _Report) -> Iterator[tuple[str, Mapping[str, JSON]]]:
    root = mapping(report, "gate") or report  # an answer report also contains the gate's figures
    by_set = {"pooled": mapping(root, "pooled"), **mapping(root, "sets")}
    for name, policies in by_set.items():
        if gate := mapping(policies, "gate"):
            yield name, gate


def _find_unpaired(
    mine: Mapping[_Key, object], other: Mapping[_Key, object], name: str
) -> list[JSON]:
    return [{"only_in": name, "measure": "/".join(key)} for key in mine if key not in other]


def _list_skipped(
    paired: list[_Key],
    values: Mapping[_Key, Mapping[str, float]],
    others: Mapping[_Key, Mapping[str, float]],
    names: tuple[str, str],
) -> dict[str, JSON]:
    """List the queries of each set that only one report contains."""
    reasons: dict[str, dict[str, str]] = {key[0]: {} for key in paired}
    for key in paired:
        for query in sorted(values[key].keys() ^ others[key].keys()):
            owner = names[0] if query in values[key] else names[1]
            reasons[key[0]].setdefault(query, f"only in {owner}")
    return {
        name: [{"id": query, "reason": reason} for query, reason in by_query.items()]
        for name, by_query in reasons.items()
    }
