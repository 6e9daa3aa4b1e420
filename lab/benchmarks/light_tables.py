"""Table of light experts beside dropped ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head


def light(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for the whole mixture, and for each number of experts, dropped and light."""
    runs = results["runs"]
    full = runs["full"]
    tasks = list(full.get("speed", {}))
    speeds = "".join(f" | {task}, tokens/s" for task in tasks)
    yield from head(
        "experts a token | loss | gap closed | of replies | gap closed | active parameters"
        f" | of the layers{speeds}"
    )
    for name, run in runs.items():
        kind, _, _ = name.partition(" ")
        shown = "all" if kind == "full" else f"{run['per_token']}, the others {kind}"
        cells = [f"{full['per_token']}, {shown}" if kind == "full" else shown]
        for figure in ("loss", "replies"):
            cells.append(_risen(run[figure]) if figure in run else "")
            share = run.get(f"{figure}_closed")
            cells.append(_closed(share) if share and kind == "light" else "")
        for figure in ("active", "active_layers"):
            cells += [_fewer(run, full, figure)] if figure in run else [""]
        cells += [f"{run['speed'][task]['mean']:,.0f}" for task in tasks]
        yield f"| {' | '.join(cells)} |"


def _risen(estimate: Mapping[str, float]) -> str:
    return f"{estimate['mean']:+.2%} [{estimate['low']:+.2%}, {estimate['high']:+.2%}]"


def _closed(estimate: Mapping[str, float]) -> str:
    return f"{estimate['mean']:.0%} [{estimate['low']:.0%}, {estimate['high']:.0%}]"


def _fewer(run: Mapping[str, Any], full: Mapping[str, Any], figure: str) -> str:
    change = run[figure] / full[figure] - 1
    return f"{run[figure]:,.0f}" + (f" ({change:+.1%})" if change else "")
