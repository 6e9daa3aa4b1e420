"""A server survives faults in all that its doors and its threads call, in the size of the tests."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import service_faults
from fault_campaign import Seam, uncovered
from service_scenarios import SCENARIOS
from service_seams import NOT_CALLED, SEAMS
from service_victims import ERRORS, NONSENSE

from expertrag.serving.core import calls

CASES = 600


@pytest.mark.slow
def test_no_fault_harms_more_than_its_call() -> None:
    report = service_faults.run(CASES, 0)
    assert report.findings == ()
    assert report.cases == CASES
    assert report.by_fault.keys() == {*ERRORS, *NONSENSE, "blocks"}
    assert report.by_scenario.keys() == SCENARIOS.keys()
    assert report.by_state.keys() >= {"admitted", "answering", "arriving", "decided", "ending"}
    assert report.by_state.keys() >= {"opened", "published", "writing"}
    assert report.grown_mib < 64


@pytest.mark.slow
def test_the_campaign_finds_a_guard_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "optional", lambda _call: nullcontext())
    report = service_faults.run(120, 0)
    assert any("the error quotes" in finding for finding in report.findings)


def test_a_new_member_has_to_be_covered() -> None:
    every = set(SEAMS)
    named = {Seam(owner, name, False) for owner, names in NOT_CALLED.items() for name in names}
    called = {seam for seam in every if Seam(seam.owner, seam.name, False) not in named}
    assert uncovered(every, NOT_CALLED, called) == []
    assert uncovered(every, NOT_CALLED, called - {new := max(called, key=str)}) == [
        f"{new} is never called: add a scenario, or name it in NOT_CALLED"
    ]
    assert len(uncovered(every, NOT_CALLED, every)) == sum(map(len, NOT_CALLED.values()))
