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


def weights(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each system: parameters, and bytes as predicted and as read by a process."""
    yield from head(
        "system | language model | experts used | parameters, millions | active | capacity gain "
        "| MB of all weights, in files | in memory | read | error | MB of a token | read | error "
        "| gain in bytes, read | error"
    )
    for name, system in results["systems"].items():
        row = system["weights"]
        used = f"{row['top_k']} of {row['experts']}" if row["experts"] else "none"
        cells = [
            name,
            system["model"],
            used,
            f"{row['parameters'] / 1e6:.1f}",
            f"{row['active'] / 1e6:.1f}",
            f"{row['capacity_gain']:.2f}",
        ]
        cells.append(f"{row['file_bytes'] / 1e6:.0f}")
        for part in ("bytes", "bytes_of_a_token"):
            pair = row[part]
            cells += [f"{pair[side] / 1e6:.0f}" for side in ("predicted", "measured")]
            cells.append(_shown(pair["predicted"] / pair["measured"] - 1))
        gain = row["gain_in_bytes"]
        cells.append(f"{gain['measured']:.2f}")
        cells.append(_shown(row["capacity_gain"] / gain["measured"] - 1))
        yield f"| {' | '.join(cells)} |"


def _error(row: Mapping[str, Any]) -> str:
    return _shown(row["error"], f" [{row['low']:+.1%}, {row['high']:+.1%}]")


def _shown(error: float, interval: str = "") -> str:
    reached = "reached" if abs(error) <= TARGET else "missed"
    return f"{error:+.1%}{interval}, {reached}"


TABLES = {"systems": systems, "weights": weights}
"""Tables by their names on the page."""
