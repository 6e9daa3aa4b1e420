"""Build the report of a retrieval evaluation: means, intervals and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

from expertrag_lab.data.types import JSON, Skipped
from expertrag_lab.eval.manifest import make_manifest
from expertrag_lab.metrics.stats import adjust, compare, estimate
from expertrag_lab.metrics.types import Comparison

if TYPE_CHECKING:
    from expertrag_index.types import Progress

Values = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Mode to metric to query id to value; the same queries in the same order everywhere."""


@dataclass(frozen=True, slots=True)
class SetResult:
    """Results of one data set. ``inputs`` go into the manifest."""

    values: Values
    sizes: Mapping[str, int]
    worst: Sequence[JSON]
    skipped: Sequence[Skipped]
    inputs: Mapping[str, JSON]


def make_report(
    results: Mapping[str, SetResult],
    *,
    modes: Sequence[str],
    metrics: Sequence[str],
    seed: int,
    inputs: Mapping[str, JSON],
    progress: Progress,
) -> Mapping[str, JSON]:
    """Build the report of data sets by name; every set has the same weight in ``mean``."""
    manifest = make_manifest(
        "retrieval",
        {
            "datasets": {name: result.inputs for name, result in results.items()},
            "modes": modes,
            "metrics": metrics,
            "seed": seed,
            **inputs,
        },
    )
    means = {name: _means(result.values) for name, result in results.items()}
    return {
        "kind": "retrieval",
        "manifest": asdict(manifest),
        "datasets": means,
        "mean": {
            mode: {metric: fmean(of[mode][metric] for of in means.values()) for metric in metrics}
            for mode in modes
        },
        "intervals": {name: _intervals(result.values, seed) for name, result in results.items()},
        "comparisons": {
            name: [asdict(item) for item in _comparisons(name, result.values, seed, progress)]
            for name, result in results.items()
        },
        "sizes": {name: result.sizes for name, result in results.items()},
        "skipped": {
            name: [asdict(item) for item in result.skipped] for name, result in results.items()
        },
        "worst": {name: result.worst for name, result in results.items()},
        "per_query": {name: result.values for name, result in results.items()},
    }


def _means(values: Values) -> Mapping[str, Mapping[str, float]]:
    return {
        mode: {metric: fmean(by_query.values()) for metric, by_query in metrics.items()}
        for mode, metrics in values.items()
    }


def _intervals(values: Values, seed: int) -> JSON:
    intervals: dict[str, dict[str, JSON]] = {}
    for mode, metrics in values.items():
        intervals[mode] = {}
        for metric, by_query in metrics.items():
            interval = estimate(list(by_query.values()), seed=seed)
            intervals[mode][metric] = [interval.low, interval.high]
    return intervals


def _comparisons(
    name: str, values: Values, seed: int, progress: Progress
) -> tuple[Comparison, ...]:
    """Compare each pair of modes by every metric, Holm-adjusted per data set."""
    pairs = [(a, b, metric) for a, b in combinations(values, 2) for metric in values[a]]
    comparisons = []
    for done, (a, b, metric) in enumerate(pairs, 1):
        first, second = values[a][metric].values(), values[b][metric].values()
        comparisons.append(compare(metric, a, list(first), b, list(second), seed=seed))
        progress(f"{name}: comparing", done, len(pairs))  # seconds each for 4,000 queries
    return adjust(comparisons)
