"""lab/results/README.md, and which figures are stale."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from results_file import RESULTS, Stamp, changed, read, stamps

_BEGIN = """\
# Latest results

Made by `make docs` from the files, which say more: machine with versions, and hashes of the code.
A figure is stale if the code that it depends on has changed since; comments and formatting do not
count. Measured on {machine}, unless a note says otherwise.

| file | command | commit | date | notes |
|---|---|---|---|---|
"""
_PACKAGE = re.compile(r"/expertrag_\w+")


def head(columns: str) -> Iterator[str]:
    """Yield the head of a Markdown table whose columns are separated by ``|``."""
    yield f"| {columns} |"
    yield "|---" * (columns.count("|") + 1) + "|"


def results_readme() -> str:
    """Return the page with a row for each measurement."""
    bodies = {path.name: read(path) for path in sorted(RESULTS.glob("*.json"))}
    machines = Counter(
        described(made["machine"]) for body in bodies.values() for made in stamps(body).values()
    )
    usual = machines.most_common(1)[0][0]
    rows = (row for name, body in bodies.items() for row in _rows(name, body, usual))
    return _BEGIN.format(machine=usual) + "\n".join(rows) + "\n"


def _rows(name: str, body: Mapping[str, Any], usual: str) -> Iterator[str]:
    parts: dict[str, list[str]] = {}
    for part, made in stamps(body).items():
        notes = [made["note"]] if made.get("note") else []
        if described(made["machine"]) != usual:
            notes.append(described(made["machine"]))
        if paths := changed(made):
            notes.append(f"**stale**: the code of {shown(paths)} has changed since")
        cells = f"`{made['command']}` | {made['commit']} | {made['date']} | {'; '.join(notes)} |"
        parts.setdefault(cells, []).append(part)
    for cells, named in parts.items():
        part = f": {', '.join(named)}" if any(named) else ""
        yield f"| {name}{part} | {cells}"


def described(machine: Mapping[str, Any]) -> str:
    """Describe a machine in a line."""
    return (
        f"{machine['cores']} cores of an {machine['cpu']} ({machine['isa']}), "
        f"{machine['memory_gib']} GiB, {machine['platform']}, Python {machine['python']}, "
        f"torch {machine['packages']['torch']}"
    )


def shown(paths: Iterable[str]) -> str:
    """Name files and folders of code; those of benchmarks in one word."""
    names = (path if path.startswith("expertrag") else _PACKAGE.sub("", path) for path in paths)
    return ", ".join(
        dict.fromkeys(
            "the benchmark" if name.startswith(("lab/benchmarks/", "lab/campaigns/")) else name
            for name in names
        )
    )


def stale_line(measured: Iterable[Stamp]) -> list[str]:
    """Return the lines under a table of stale figures; none if no figure is stale.

    lab/results/README.md says which code has changed.
    """
    old = dict.fromkeys(f"`{made['commit']}`" for made in measured if changed(made))
    return ["", f"Measured at {', '.join(old)}; its code has changed since."] if old else []
