"""The engine survives faults in all that it calls, in the size of the tests."""

from __future__ import annotations

from contextlib import nullcontext

import engine_faults
import pytest
from engine_faults import KILLS, NONSENSE, RAISES
from engine_scenarios import SCENARIOS
from engine_seams import NOT_CALLED, seams
from fault_campaign import Seam, uncovered

from expertrag.llm.engine.scheduler import Scheduler

CASES = 2_000


def test_no_fault_harms_more_than_its_sequence() -> None:
    report = engine_faults.run(CASES, 0)
    assert report.findings == ()
    assert report.cases == CASES
    assert report.by_fault.keys() == {*RAISES, *NONSENSE, *KILLS, "blocks"}
    assert report.by_scenario.keys() == SCENARIOS.keys()
    assert report.by_state.keys() >= {"closing", "decoding", "drafting", "drawing", "opening"}
    assert report.by_state.keys() >= {"pausing", "preempted", "prefilling", "waiting"}
    assert report.grown_mib < 64


def test_the_campaign_finds_a_guard_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scheduler, "_guard", lambda _self, _sequence: nullcontext())
    report = engine_faults.run(200, 0)
    assert any("the bystander got" in finding for finding in report.findings)


def test_a_new_member_has_to_be_covered() -> None:
    every = set(seams())
    named = {Seam(owner, name, False) for owner, names in NOT_CALLED.items() for name in names}
    called = {seam for seam in every if Seam(seam.owner, seam.name, False) not in named}
    assert uncovered(every, NOT_CALLED, called) == []
    assert uncovered(every, NOT_CALLED, called - {new := max(called, key=str)}) == [
        f"{new} is never called: add a scenario, or name it in NOT_CALLED"
    ]
    assert len(uncovered(every, NOT_CALLED, every)) == sum(map(len, NOT_CALLED.values()))
