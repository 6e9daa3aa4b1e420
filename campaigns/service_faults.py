"""Faults in all that a server's doors, pipeline and threads call; the server goes on unharmed.

    make campaign-service ARGS="--cases N --seed N --json FILE"

A case is a seam (``service_seams``), what it does instead of its work (raise, die, block, or return
nonsense), the scenario (``service_scenarios``) and state of the call it meets, and the number of
its call in that state. The caller gets its result, or a typed error that quotes nothing. After each
case a plain question has the same answer at both doors; leases, places, sessions, threads, tasks
and descriptors are back; the server is SERVING, was so all along, and takes the next write.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import results_file
from engine_seams import Seam
from service_seams import NOT_CALLED, SEAMS
from service_victims import ERRORS, NONSENSE, Case, World
from tqdm import tqdm

CODE = ("campaigns/service_faults.py", "expertrag/service", "expertrag/http", "expertrag/answer")
_CALLS = 3
_BLOCKED_SHARE = 12  # one of so many calls is also blocked


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
        for call in range(1, min(calls, _CALLS) + 1):
            faults = [*ERRORS, *(NONSENSE if seam.outer else ())]
            is_read = isinstance(SEAMS[seam][1], property) or seam.name == "healthy"
            if not seam.outer or "." in seam.owner or is_read:
                faults.remove("dies")  # only calls of models and the search, in threads of workers
            if not draw.randrange(_BLOCKED_SHARE):
                faults.append("blocks")
            cases += [Case(seam, fault, scenario, state, call) for fault in faults]
    draw.shuffle(cases)
    return cases


def in_order(cases: Sequence[Case]) -> list[Case]:
    """Order cases: each seam, and each fault in each scenario, before any again."""
    seen: Counter[object] = Counter()
    ranked = []
    for case in cases:
        keys = (case.seam, (case.fault, case.scenario), (case.scenario, case.state))
        ranked.append((min(seen[key] for key in keys), case))
        seen.update(keys)
    ranked.sort(key=lambda item: item[0])
    return [case for _, case in ranked]


def uncovered(called: set[Seam]) -> list[str]:
    """Return what contradicts ``NOT_CALLED``: members that it has to name, or must not."""
    result = []
    for seam in SEAMS:
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
