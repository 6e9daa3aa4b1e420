"""Faults in everything that the engine calls, in every state of a sequence; it goes on unharmed.

    make campaign-engine ARGS="--cases N --seed N --json FILE"

A case is a seam (``engine_seams``), what it does instead of its work (raise, die, block, return
nonsense, or lose a process), the scenario and state of the sequence it meets, and the number of the
call in that state. Its victim gets its text or a typed error that quotes nothing; the bystander who
shares the steps gets its text, unless the fault is in what all share. After each case the next
plain question has the same answer, and pages, threads, descriptors and processes are back; the
engine reported a problem if and only if it was blocked.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import results_file
from engine_seams import NOT_CALLED, Seam, seams
from engine_victims import ERRORS, Case, World
from tqdm import tqdm

RAISES = tuple(ERRORS)
NONSENSE = ("None", "-1", "10**9", "text", "nan", "shorter")
KILLS = ("kills the process", "kills the worker")
CODE = ("campaigns/engine_faults.py", "expertrag/llm", *results_file.KERNELS)
_CALLS = (1, 2, 3)
_BLOCKED_SHARE = 12  # one of so many calls is also blocked: each takes a twentieth of a second
_WORKERS_KILLED = 4


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


def cases_of(world: World, seed: int) -> list[Case]:
    """Return every case, in random order: all faults at the first calls of each seam and state."""
    cases: list[Case] = []
    draw = random.Random(seed)
    for (seam, scenario, state), calls in sorted(world.record().items(), key=str):
        for call in _CALLS:
            if call > calls:
                break
            faults = [*RAISES, *(NONSENSE if seam.outer else ())]
            if seam.name == "close":  # nothing ends what can never be closed
                faults.remove("raises for good")
            if not draw.randrange(_BLOCKED_SHARE):
                faults.append("blocks")
            if scenario in ("constrained", "forced"):
                faults.append(KILLS[0])
            cases += [Case(seam, fault, scenario, state, call) for fault in faults]
    constrained = [case for case in cases if case.fault == KILLS[0]]
    for case in draw.sample(constrained, min(_WORKERS_KILLED, len(constrained))):
        cases.append(Case(case.seam, KILLS[1], case.scenario, case.state, case.call))
    draw.shuffle(cases)
    return cases


def in_order(cases: Sequence[Case]) -> list[Case]:
    """Order cases: each seam, and each fault in each state, before any again."""
    seen: Counter[object] = Counter()
    ranked = []
    for case in cases:
        keys = (case.seam, (case.fault, case.scenario, case.state))
        ranked.append((min(seen[key] for key in keys), case))
        seen.update(keys)
    ranked.sort(key=lambda item: item[0])
    return [case for _, case in ranked]


def uncovered(called: set[Seam]) -> list[str]:
    """Return what contradicts ``NOT_CALLED``: members that it has to name, or must not."""
    result = []
    for seam in seams():
        named = seam.name in NOT_CALLED.get(seam.owner, ())
        if named and seam in called:
            result.append(f"{seam} is called: take it out of NOT_CALLED")
        if not named and seam not in called:
            result.append(f"{seam} is never called: add a scenario, or name it in NOT_CALLED")
    return result


def run(most: int, seed: int) -> Report:
    """Run so many cases whose fault comes."""
    started = time.monotonic()
    with World.opened() as world:
        cases = cases_of(world, seed)
        findings = uncovered(world.called)
        before, missed = world.memory_mib(), 0
        done: list[Case] = []
        for case in tqdm(in_order(cases), disable=None):
            if len(done) == most:
                break
            result = world.try_case(case)
            if result is None:
                missed += 1
                continue
            done.append(case)
            findings += [f"{case}: {finding}" for finding in result]
        grown = world.memory_mib() - before
    return Report(
        len(set(done)),
        missed,
        dict(Counter(case.fault for case in done)),
        dict(Counter(case.scenario for case in done)),
        dict(Counter(case.state for case in done)),
        len({case.seam for case in done}),
        tuple(findings),
        round(time.monotonic() - started, 1),
        round(grown, 1),
    )


def main() -> int:
    """Run a campaign and report it; 1 if it found something."""
    parser = results_file.parser(__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    report = run(given.cases, given.seed)
    for finding in report.findings:
        print(f"broken promise: {finding}", file=sys.stderr)
    results_file.write(given.json, asdict(report), CODE)
    print(
        f"{report.cases:,} cases at {report.seams} seams, {len(report.findings)} broken promises",
        file=sys.stderr,
    )
    return bool(report.findings)


if __name__ == "__main__":
    sys.exit(main())
