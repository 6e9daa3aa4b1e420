"""Tables of a dense model that was split into experts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head


def kept(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each number of experts: the rise of the loss, by the router and fixed."""
    yield from head(
        "experts a token | of the neurons | router | of replies | fixed experts | of replies"
    )
    for row in results["kept"]:
        cells = [f"{row['shared']} shared, {row['per_token']} others", f"{row['neurons']:.0%}"]
        for way in ("router", "fixed"):
            cells += [_risen(row[way][kind]) if way in row else "" for kind in ("loss", "replies")]
        yield f"| {' | '.join(cells)} |"


def supers(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield what dropping the super experts costs, and dropping as many others of their layers."""
    yield from head("dropped | loss | of replies")
    found = results["super"]
    if not found:
        yield "| no expert is a super expert | | |"
        return
    names = ", ".join(f"{expert} of layer {layer}" for layer, expert in found["experts"])
    dropped, others = found["dropped"], found["others"]
    yield f"| super experts: {names} | {_risen(dropped['loss'])} | {_risen(dropped['replies'])} |"
    low, high, draws = others["draws"]
    name = f"as many others, {draws} draws of {low:+.2%} to {high:+.2%}"
    yield f"| {name} | {_risen(others['loss'])} | {_risen(others['replies'])} |"


def pre_gate(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield which share of the chosen experts of held-out tokens is expected."""
    yield from head("expected experts | of those that the routers choose")
    found = results["pre_gate"]
    for name, told in (
        ("expected", "by the pre-gate"),
        ("frequent", "the most frequent of each layer"),
        ("random", "drawn at random"),
    ):
        yield f"| {told} | {found[name]:.1%} |"


def printed(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield all tables."""
    for name, table in TABLES.items():
        yield from ("", f"**{name}**", "", *table(results))


def _risen(estimate: Mapping[str, float]) -> str:
    return f"{estimate['mean']:+.1%} [{estimate['low']:+.1%}, {estimate['high']:+.1%}]"


TABLES = {"split": kept, "super experts of a split model": supers, "pre-gate": pre_gate}
