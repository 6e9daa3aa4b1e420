"""Tables of experts dropped, merged and compressed, and of super experts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from results_table import head

_PROFILES = ("own", "other", "mix")


def kept(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each share and method: how much the held-out loss rises, by profile."""
    yield from head("experts kept | method | own domain | other domain | mix | own, of replies")
    for share in dict.fromkeys(row["share"] for row in results["kept"]):
        rows = [row for row in results["kept"] if row["share"] == share]
        for method in dict.fromkeys(row["method"] for row in rows):
            found = {row["profile"]: row for row in rows if row["method"] == method}
            if "random" in found:
                row = found["random"]
                low, high, seeds = row["seeds"]
                cells = ["", "", f"{_risen(row['loss'])}, {seeds} seeds {low:+.2%} to {high:+.2%}"]
                cells.append("")
            else:
                cells = [_risen(found[name]["loss"]) for name in _PROFILES]
                cells.append(_risen(found["own"]["replies"]))
            yield f"| {share:.0%} | {method} | {' | '.join(cells)} |"


def gains(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each share and method: what a domain's own profile saves."""
    yield from head("experts kept | method | less than another domain's | less than random")
    for row in results["gains"]:
        cells = " | ".join(_risen(row[name]) for name in ("other", "random"))
        yield f"| {row['share']:.0%} | {row['method']} | {cells} |"


def supers(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield what dropping super experts costs, and dropping as many others of the same layers."""
    yield from head("dropped | loss | of replies")
    if not results["super"]:
        yield "| no expert is a super expert | | |"
        return
    dropped, others = results["super"]["dropped"], results["super"]["others"]
    yield f"| super experts | {_risen(dropped['loss'])} | {_risen(dropped['replies'])} |"
    low, high, draws = others["draws"]
    name = f"as many others, {draws} draws of {low:+.2%} to {high:+.2%}"
    yield f"| {name} | {_risen(others['loss'])} | {_risen(others['replies'])} |"


def smaller(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each mixture on our engine: size, loss and tokens a second."""
    engine = results["engine"]
    tasks = list(engine["full"]["speed"])
    columns = " | ".join(f"{task}, tokens/s" for task in tasks)
    yield from head(f"mixture | of the experts | MiB in bfloat16 | parameters | loss | {columns}")
    risen = dict(_losses(results))
    for name, item in engine.items():
        kind, _, share = name.rpartition(" ")
        cells = [kind, f"{float(share):.0%}"] if kind else [share, "all"]
        parameters = item["parameters"]
        cells += [f"{2 * parameters / 2**20:.2f}", f"{parameters:,}", risen.get(name, "")]
        cells += [f"{item['speed'][task]['mean']:,.0f}" for task in tasks]
        yield f"| {' | '.join(cells)} |"


def printed(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield all tables."""
    for name, table in TABLES.items():
        if table is not smaller or "engine" in results:
            yield from ("", f"**{name}**", "", *table(results))


def _losses(results: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, row in results["smaller"].items():
        yield name, _risen(row["loss"])
    for row in results["kept"]:
        if row["method"] == "easy-ep" and row["profile"] == "mix":
            yield f"pruned {row['share']:g}", _risen(row["loss"])


def _risen(estimate: Mapping[str, float]) -> str:
    return f"{estimate['mean']:+.2%} [{estimate['low']:+.2%}, {estimate['high']:+.2%}]"


TABLES = {"kept": kept, "gains": gains, "super experts": supers, "smaller": smaller}
