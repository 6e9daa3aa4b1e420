"""Tables of lab/docs/measurements/routing.md, on the mixture of ``fixture_moe.py``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

_WAYS = {
    "full": "all experts, all in memory",
    "half": "all experts, memory for half",
    "patterns": "the domain's half, memory for half",
    "other": "another domain's half",
}


def patterns(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each way to answer questions of mixed domains: speed, hits, quality."""
    orders = results["orders"]
    columns = " | ".join(f"{order}: tokens/s | hits | MB read" for order in orders)
    yield from head(f"experts | {columns} | same answers | same next tokens | loss")
    for way, shown in _WAYS.items():
        cells = [shown]
        for by_way in orders.values():
            cells += _speed(by_way[way]) if way in by_way else ["", "", ""]
        same, loss = results["same"][way], results["loss"].get(way)
        cells.append("" if way in ("full", "half") else f"{same['mean']:.0%}")
        cells.append(f"{results['next'][way]['mean']:.1%}" if way in results["next"] else "")
        if isinstance(loss, Mapping):
            cells.append(f"{loss['mean']:+.1%} [{loss['low']:+.1%}, {loss['high']:+.1%}]")
        else:
            cells.append("" if loss is None else f"{loss:.3f}")
        yield f"| {' | '.join(cells)} |"


def _speed(figures: Mapping[str, Any]) -> list[str]:
    speed = f"{figures['tokens_per_s']:.1f}"
    if "hit_rate" not in figures:
        return [speed, "", ""]
    return [speed, f"{figures['hit_rate']:.1%}", f"{figures['read_mb']:,.0f}"]
