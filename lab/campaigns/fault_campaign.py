"""What campaigns of faults share: their seams, cases, order and report.

See ``engine_faults`` and ``service_faults``.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import results_file
from tqdm import tqdm


@dataclass(frozen=True, slots=True)
class Seam:
    """A member of a class, or a function of a module."""

    owner: str
    name: str
    outer: bool

    def __str__(self) -> str:
        return f"{self.owner}.{self.name}"


@dataclass(frozen=True, slots=True)
class Case:
    """A fault at the n-th call of a seam while the victim is in a state."""

    seam: Seam
    fault: str
    scenario: str
    state: str
    call: int

    def __str__(self) -> str:
        return f"{self.seam} {self.fault}, {self.scenario} {self.state}, call {self.call}"


class World(Protocol):
    """What is tried: an engine, or a server."""

    def memory_mib(self) -> float:
        """Return the memory of the process."""
        ...

    def try_case(self, case: Case) -> list[str] | None:
        """Return the promises that a case breaks; None if its fault did not come."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign did. ``cases``: distinct ones whose fault came; ``missed``: did not come."""

    cases: int
    missed: int
    by_fault: dict[str, int]
    by_scenario: dict[str, int]
    by_state: dict[str, int]
    seams: int
    findings: tuple[str, ...]
    seconds: float
    grown_mib: float


@contextmanager
def replaced(
    seams: Mapping[Seam, tuple[Any, Any]], replacement: Callable[[Seam, Any], Any]
) -> Iterator[None]:
    """Put ``replacement(seam, member)`` in the place of each seam, and the members back."""
    inherited = {seam: (where, vars(where).get(seam.name)) for seam, (where, _) in seams.items()}
    for seam, (where, member) in seams.items():
        setattr(where, seam.name, replacement(seam, member))
    try:
        yield
    finally:
        for seam, (where, member) in inherited.items():
            if member is None:
                delattr(where, seam.name)
            else:
                setattr(where, seam.name, member)


def draw_of(seed: int, *parts: object) -> random.Random:
    """Return a source of random numbers that depends on these parts alone.

    Calls of threads vary by a few from run to run; the draws of all other cases stay the same.
    """
    return random.Random(" ".join(map(str, (seed, *parts))))


def in_order(cases: Sequence[Case], kinds: Callable[[Case], tuple[object, ...]]) -> list[Case]:
    """Order cases: each of the kinds that a case is of, before any again."""
    seen: Counter[object] = Counter()
    ranked = []
    for case in cases:
        ranked.append((min(seen[kind] for kind in kinds(case)), case))
        seen.update(kinds(case))
    ranked.sort(key=lambda item: item[0])
    return [case for _, case in ranked]


def uncovered(
    seams: Iterable[Seam], not_called: Mapping[str, frozenset[str]], called: set[Seam]
) -> list[str]:
    """Return what contradicts ``NOT_CALLED``: members that it has to name, or must not."""
    result = []
    for seam in seams:
        named = seam.name in not_called.get(seam.owner, ())
        if named and seam in called:
            result.append(f"{seam} is called: take it out of NOT_CALLED")
        if not named and seam not in called:
            result.append(f"{seam} is never called: add a scenario, or name it in NOT_CALLED")
    return result


def run_cases(world: World, cases: Sequence[Case], most: int, findings: Sequence[str]) -> Report:
    """Run cases until so many faults have come.

    :param findings: what was found before.
    """
    started, before, missed = time.monotonic(), world.memory_mib(), 0
    found, done = list(findings), list[Case]()
    for case in tqdm(cases, disable=None):
        if len(done) == most:
            break
        result = world.try_case(case)
        if result is None:
            missed += 1
            continue
        done.append(case)
        found += [f"{case}: {finding}" for finding in result]
    return Report(
        len(set(done)),
        missed,
        dict(Counter(case.fault for case in done)),
        dict(Counter(case.scenario for case in done)),
        dict(Counter(case.state for case in done)),
        len({case.seam for case in done}),
        tuple(found),
        round(time.monotonic() - started, 1),
        round(world.memory_mib() - before, 1),
    )


def report(description: str | None, run: Callable[[int, int], Report], code: Sequence[str]) -> int:
    """Run a campaign as a command, and report it; 1 if it found something."""
    parser = results_file.parser(description)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    result = run(given.cases, given.seed)
    for finding in result.findings:
        print(f"broken promise: {finding}", file=sys.stderr)
    results_file.write(given.json, asdict(result), code)
    print(
        f"{result.cases:,} cases at {result.seams} seams, {len(result.findings)} broken promises",
        file=sys.stderr,
    )
    return bool(result.findings)
