"""Faults in everything that the engine calls, in every state of a sequence; it goes on unharmed.

    make lab-campaign-engine ARGS="--cases N --seed N --json FILE"

A case is a seam (``engine_seams``), what it does instead of its work (raise, die, block, return
nonsense, or lose a process), the scenario and state of the sequence it meets, and the number of the
call in that state. Its victim gets its text or a typed error that quotes nothing; the bystander who
shares the steps gets its text, unless the fault is in what all share. After each case the next
plain question has the same answer, and pages, threads, descriptors and processes are back; the
engine reported a problem if and only if it was blocked.
"""

from __future__ import annotations

import sys

import results_file
from engine_seams import NOT_CALLED, seams
from engine_victims import ERRORS, World
from fault_campaign import Case, Report, draw_of, in_order, report, run_cases, uncovered

RAISES = tuple(ERRORS)
NONSENSE = ("None", "-1", "10**9", "text", "nan", "shorter")
KILLS = ("kills the process", "kills the worker")
CODE = ("lab/campaigns/engine_faults.py", "expertrag/llm", *results_file.KERNELS)
_CALLS = (1, 2, 3)
_BLOCKED_SHARE = 12  # one of so many calls is also blocked: each takes a twentieth of a second
_WORKERS_KILLED = 4


def cases_of(world: World, seed: int) -> list[Case]:
    """Return every case, in random order: all faults at the first calls of each seam and state."""
    cases: list[Case] = []
    for (seam, scenario, state), calls in sorted(world.record().items(), key=str):
        for call in _CALLS:
            if call > calls:
                break
            faults = [*RAISES, *(NONSENSE if seam.outer else ())]
            if seam.name == "close":  # nothing ends what can never be closed
                faults.remove("raises for good")
            if not draw_of(seed, seam, scenario, state, call).randrange(_BLOCKED_SHARE):
                faults.append("blocks")
            if scenario in ("constrained", "forced"):
                faults.append(KILLS[0])
            cases += [Case(seam, fault, scenario, state, call) for fault in faults]
    constrained = [case for case in cases if case.fault == KILLS[0]]
    for case in draw_of(seed).sample(constrained, min(_WORKERS_KILLED, len(constrained))):
        cases.append(Case(case.seam, KILLS[1], case.scenario, case.state, case.call))
    return sorted(cases, key=lambda case: draw_of(seed, case).random())


def kinds(case: Case) -> tuple[object, ...]:
    """Return what is tried before anything again: each seam, each fault in each state."""
    return case.seam, (case.fault, case.scenario, case.state)


def run(most: int, seed: int) -> Report:
    """Run so many cases whose fault comes."""
    with World.opened() as world:
        cases = in_order(cases_of(world, seed), kinds)
        return run_cases(world, cases, most, uncovered(seams(), NOT_CALLED, world.called))


if __name__ == "__main__":
    sys.exit(report(__doc__, run, CODE))
