"""Tables of lab/docs/measurements on search, embedding experts, router and reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

MODES = ("dense", "hybrid")
METRIC = "nDCG@10"


def chunks(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each test split."""
    yield from head("set | queries | dense | BM25 | hybrid | margin")
    means = {"name": "**mean**", "split": "", "queries": None, **results["means"]}
    for row in (*results["rows"], means):
        split = f" ({row['split']})" if row["split"] not in ("", "test") else ""
        queries = "" if row["queries"] is None else f"{row['queries']:,}"
        margin = row["hybrid"] - max(row["dense"], row["bm25"])
        cells = (f"{row[mode]:.3f}" for mode in ("dense", "bm25", "hybrid"))
        yield f"| {row['name']}{split} | {queries} | {' | '.join(cells)} | {margin:+.3f} |"


def experts(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each test set, dense search before hybrid."""
    systems = ("base", "router")
    yield from head("domain | set | base | router | base | router")
    for row in results["sets"]:
        cells = [f"{row['means'][mode][name]:.3f}" for mode in MODES for name in systems]
        star = "" if row["trained_on"] else " *"
        yield f"| {row['domain']} | {row['set']}{star} | {' | '.join(cells)} |"
    cells = [f"**{results['macro'][mode][name]:.3f}**" for mode in MODES for name in systems]
    yield f"| **macro mean** | | {' | '.join(cells)} |"


def reader(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each figure that has a target, except for experts and speed."""
    yield from head("test questions of | n | before | after [95 %] | target")
    for part, figures in results["figures"].items():
        if part in ("experts", "speed"):
            continue
        for item in figures:
            if not item["bar"]:
                continue
            after, before = item["after"], item["before"]
            first = "" if before is None else f"{before['mean']:.2f}"
            last = f"{after['mean']:.2f} [{after['low']:.2f}, {after['high']:.2f}]"
            target = item["bar"] and f"{item['bar']}: {'reached' if item['reached'] else 'missed'}"
            yield f"| {item['name']} | {after['n']} | {first} | {last} | {target} |"
