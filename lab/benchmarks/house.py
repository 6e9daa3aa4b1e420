"""Print what the code of the service looks like, and what it is asked to become.

    make house
    python lab/benchmarks/house.py --json FILE

Exit code 1 while a figure misses its bar.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import results_file
from house_code import LAB, SERVICE, Code, make_targets
from house_path import count_files
from house_walk import walk_question

from expertrag.cli.main import cli

BARS: Mapping[str, int] = {
    "lines of the service": 70_000,
    "lines of the lab": 30_000,
    "files that one question enters": 50,
    "moves between files": 350,
    "stays of a question, static": 40,
    "rooms of a question, static": 16,
    "returns of a question, static": 15,
    "flags of the service": 320,
    "flags of ask": 26,
    "flags of serve": 40,
    "functions with more than 6 parameters": 39,
    "functions with more than 10 parameters": 0,
    "classes over 300 lines": 0,
    "files over 400 lines": 0,
    "functions named by participles": 99,
    "variables named found": 39,
    "class names used twice or more": 0,
    "targets of the Makefile": 14,
}
"""Largest value of each figure."""
CODE = (
    *SERVICE,
    "Makefile",
    "lab/benchmarks/house.py",
    "lab/benchmarks/house_code.py",
    "lab/benchmarks/house_names.py",
    "lab/benchmarks/house_path.py",
    "lab/benchmarks/house_walk.py",
)


@dataclass(frozen=True, slots=True)
class Count:
    """A figure and its bar, the largest value that it may have."""

    name: str
    value: int
    bar: int

    @property
    def reached(self) -> bool:
        """Whether the value is within its bar."""
        return self.value <= self.bar


def main() -> None:
    """Print the figures, and optionally write JSON."""
    given = results_file.parser(__doc__).parse_args()
    counts = [Count(name, value, BARS[name]) for name, value in figures().items()]
    for count in counts:
        mark = "" if count.reached else "  missed"
        print(f"{count.name:40} {count.value:>8,} <= {count.bar:>6,}{mark}")
    body = {"figures": [{**asdict(count), "reached": count.reached} for count in counts]}
    results_file.write(given.json, body, CODE)
    sys.exit(not all(count.reached for count in counts))


def figures() -> Mapping[str, int]:
    """Return all figures by name, in the order of the bars."""
    flags = dict(flags_by_command(cli, ""))
    service = Code(SERVICE)
    with tempfile.TemporaryDirectory() as work:
        counted = {
            "lines of the service": service.lines,
            "lines of the lab": Code(LAB).lines,
            **service.figures(),
            **count_files(Path(work)),
            **walk_question(service),
            "flags of the service": sum(flags.values()),
            "flags of ask": flags["ask"],
            "flags of serve": flags["serve"],
            "targets of the Makefile": make_targets(),
        }
    return {name: counted[name] for name in BARS}


def flags_by_command(command: click.Command, name: str) -> Iterator[tuple[str, int]]:
    """Yield each command of the service and its number of flags, without ``--help``."""
    if (command.callback or cli.callback).__module__.startswith("expertrag_lab."):
        return
    yield name, sum(isinstance(option, click.Option) for option in command.params)
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for below in command.list_commands(context):
            child = command.get_command(context, below)
            if child is not None:
                yield from flags_by_command(child, f"{name} {below}".strip())


if __name__ == "__main__":
    main()
