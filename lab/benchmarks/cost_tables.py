"""Tables of lab/docs/measurements/cost.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

TARGET = 0.05
"""Relative error of a prediction that is aimed at."""


def systems(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each system and mode: right answers, seconds, and how they were predicted."""
    yield from head(
        "system, mode | n | right | retrieves | GB of weights read | measured s | predicted s "
        "| error | error, constants of the dense model"
    )
    for name, system in results["systems"].items():
        for mode, row in system["modes"].items():
            moved = system.get("transferred", {}).get(mode)
            cells = (
                f"{name}, {mode}",
                f"{row['n']}",
                "-" if row["right"] is None else f"{row['right']:.2f}",
                f"{row['retrieved']:.2f}",
                f"{row['bytes'] / 1e9:.1f}",
                f"{row['measured']:.2f}",
                f"{row['predicted']:.2f}",
                _error(row),
                _shown(moved["error"]) if moved else "",
            )
            yield f"| {' | '.join(cells)} |"
        if whole := system.get("formula"):
            auto = system["modes"]["auto"]
            cells = (
                f"{name}, auto by the formula",
                f"{auto['n']}",
                "",
                f"{whole['p']:.2f}",
                "",
                f"{auto['measured']:.2f}",
                f"{whole['predicted']:.2f}",
                _error(whole),
                "",
            )
            yield f"| {' | '.join(cells)} |"


def _error(row: Mapping[str, Any]) -> str:
    return _shown(row["error"], f" [{row['low']:+.1%}, {row['high']:+.1%}]")


def _shown(error: float, interval: str = "") -> str:
    reached = "reached" if abs(error) <= TARGET else "missed"
    return f"{error:+.1%}{interval}, {reached}"
