"""Faults in all that a server's doors, pipeline and threads call; the server goes on unharmed.

    make lab-campaign-service ARGS="--cases N --seed N --json FILE"

A case is a seam (``service_seams``), what it does instead of its work (raise, die, block, or return
nonsense), the scenario (``service_scenarios``) and state of the call it meets, and the number of
its call in that state. The caller gets its result, or a typed error that quotes nothing. After each
case a plain question has the same answer at both doors; leases, places, sessions, threads, tasks
and descriptors are back; the server is SERVING, was so all along, and takes the next write.
"""

from __future__ import annotations

import sys

from fault_campaign import Case, Report, draw_of, in_order, report, run_cases, uncovered
from service_seams import NOT_CALLED, SEAMS
from service_victims import ERRORS, NONSENSE, World

CODE = (
    "lab/campaigns/service_faults.py",
    "expertrag/serving",
    "expertrag/answer",
    "expertrag/stores",
)
_CALLS = 3
_BLOCKED_SHARE = 12  # one of so many calls is also blocked


def cases_of(world: World, seed: int) -> list[Case]:
    """Return every case, in random order: all faults at the first calls of each seam and state."""
    cases: list[Case] = []
    for (seam, scenario, state), calls in sorted(world.record().items(), key=str):
        for call in range(1, min(calls, _CALLS) + 1):
            faults = [*ERRORS, *(NONSENSE if seam.outer else ())]
            is_read = isinstance(SEAMS[seam][1], property) or seam.name == "healthy"
            if not seam.outer or "." in seam.owner or is_read:
                faults.remove("dies")  # only calls of models and the search, in threads of workers
            if not draw_of(seed, seam, scenario, state, call).randrange(_BLOCKED_SHARE):
                faults.append("blocks")
            cases += [Case(seam, fault, scenario, state, call) for fault in faults]
    return sorted(cases, key=lambda case: draw_of(seed, case).random())


def kinds(case: Case) -> tuple[object, ...]:
    """Return what is tried before anything again: each seam, each fault in each scenario."""
    return case.seam, (case.fault, case.scenario), (case.scenario, case.state)


def run(most: int, seed: int) -> Report:
    """Run so many cases whose fault comes."""
    with World.opened() as world:
        cases = in_order(cases_of(world, seed), kinds)
        return run_cases(world, cases, most, uncovered(SEAMS, NOT_CALLED, world.called))


if __name__ == "__main__":
    sys.exit(report(__doc__, run, CODE))
