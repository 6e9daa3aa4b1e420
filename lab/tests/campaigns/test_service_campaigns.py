"""The campaigns about the service in small sizes, and that a broken promise is told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import connections
import fuzz_extremes
import fuzz_messages
import load
import pytest
from fuzz import FuzzCase, FuzzRun, cases, fuzzed
from fuzz_callers import TENANTS, FuzzAccess
from load_callers import LoadResult, percentile_ms
from soak import slope_kb, soaked


@pytest.mark.slow
def test_a_fuzzed_server_keeps_its_promises(tmp_path: Path) -> None:
    found = fuzzed(tmp_path, 1_500, 150, seed=11)
    assert found["findings"] == []
    assert found["responses_with_own_canary"] > 0
    assert found["codes"]["OK"] > 50
    assert found["methods"].keys() == fuzz_messages.MAKERS.keys()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["cancels", "deadlines", "stalled_upsert", "stalled_senders", "slow_readers"]
)
def test_a_loaded_server_keeps_its_promises(name: str) -> None:
    assert load.run(name, 0.1)["findings"] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["restarts", "kills", "swaps", "compactions"])
def test_calls_outlast_a_restarted_server(name: str) -> None:
    found = load.run(name, 0.1)
    assert found["failed"] == 0
    assert found["findings"] == []
    assert min(found["calls"].values()) > 5


@pytest.mark.slow
def test_a_soak_calls_every_kind(tmp_path: Path) -> None:
    found = soaked(tmp_path, seconds=4.0, probe_s=1.5)  # too short for a slope
    assert found["codes"].keys() == {"OK", "INVALID_ARGUMENT"}
    assert found["calls"] > 20


@pytest.fixture
def access(tmp_path: Path) -> FuzzAccess:
    return FuzzAccess.make(tmp_path)


def case_of(access: FuzzAccess, name: str, method: str) -> FuzzCase:
    (caller,) = (item for item in access.callers if item.name == name)
    return FuzzCase(method, b"", caller, [], 1.0)


@pytest.mark.parametrize(
    ("name", "code", "told", "problem"),
    [
        ("tenant acme", "OK", TENANTS["globex"], "canary"),
        ("tenant globex", "NOT_FOUND", f"no {TENANTS['acme']}", "canary"),
        ("acme without labels", "OK", "rubycanary", "canary"),
        ("no tenant, read", "OK", TENANTS["acme"], "canary"),
        ("acme, write only", "OK", "", "without the scope"),
        ("damaged token", "OK", "", "without the scope"),
        ("expired JWT", "OK", "", "without the scope"),
        ("tenant acme", "INTERNAL", "", "INTERNAL"),
        ("no token", "UNKNOWN", "", "UNKNOWN"),
    ],
)
def test_a_broken_promise_is_told(
    access: FuzzAccess, name: str, code: str, told: str, problem: str
) -> None:
    run = FuzzRun()
    run.note(case_of(access, name, "RetrieveService/Retrieve"), code, told.encode())
    assert len(run.problems) == 1
    assert problem in run.problems[0]


def test_what_a_caller_may_see_is_no_problem(access: FuzzAccess) -> None:
    run = FuzzRun()
    for tenant, canary in TENANTS.items():
        run.note(case_of(access, f"tenant {tenant}", "IndexService/Delete"), "OK", canary.encode())
    run.note(case_of(access, "expired token", "InfoService/Info"), "UNAUTHENTICATED", b"")
    assert run.problems == []
    assert run.own_canaries == 2


def test_cases_are_of_all_methods_and_callers_and_repeat_by_seed(access: FuzzAccess) -> None:
    made = list(cases(access.callers, 2_000, seed=3))
    assert {case.method for case in made} == fuzz_messages.MAKERS.keys()
    assert {case.caller for case in made} == set(access.callers)
    again = list(cases(access.callers, 2_000, seed=3))
    assert [case.message for case in made] == [case.message for case in again]
    sizes = Counter(len(case.message) > 10_000 for case in made)
    assert sizes[True] > 10


def test_wrong_tokens_are_never_the_valid_one() -> None:
    rng = random.Random(0)
    made = {fuzz_messages.wrong_authorization("ert_abc_DEFGH", rng) for _ in range(500)}
    assert len(made) > 15
    assert "Bearer ert_abc_DEFGH" not in made


@pytest.mark.parametrize(
    "make", [make for _, make in fuzz_messages.MAKERS.values()], ids=fuzz_messages.MAKERS.keys()
)
def test_messages_are_damaged(make: Callable[[random.Random], object]) -> None:
    changed = 0
    for number in range(50):
        rng = random.Random(number)
        message = make(rng)
        whole = message.SerializeToString()  # type: ignore[attr-defined]
        changed += fuzz_messages.damaged(whole, rng) != whole
        fuzz_extremes.set_extremes(message, rng)  # type: ignore[arg-type]
        message.SerializeToString()  # type: ignore[attr-defined]
    assert changed >= (25 if whole else 15)  # an empty one can only grow


def test_a_recording_is_cut_at_a_frame() -> None:
    def frame(kind: int, body: bytes) -> bytes:
        return len(body).to_bytes(3, "big") + bytes([kind, 0]) + b"\0\0\0\1" + body

    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    head, data, cancel = frame(1, b"head"), frame(0, b"data"), frame(3, b"\0\0\0\x08")
    recording = preface + head + data + cancel + frame(7, b"bye")
    assert connections.without_end(recording) == preface + head + data
    assert connections.before_message(recording) == preface + head
    assert connections.without_end(preface + head) == preface + head


def test_figures() -> None:
    assert percentile_ms([0.001, 0.002, 0.003, 0.004], 0.5) == 3.0
    assert percentile_ms([0.001, 0.002], 1.0) == 2.0
    assert percentile_ms([], 0.5) == float("inf")
    # 100 calls a sample; after the first quarter 0.1 MB each, that is 1 KB a call
    samples = [(0, 50.0), (100, 90.0), *((100 * n, 100 + 0.1 * n) for n in range(2, 8))]
    assert slope_kb(samples) == pytest.approx(1.0)
    found = LoadResult()
    found.check(True, "kept")
    found.check(False, "broken")
    assert found.broken == ["broken"]
