"""Replays against figures computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from audit_fixtures import WriteLog, make_entry

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Feedback, GateAction, GateMode
from expertrag.audit.reading import read_log
from expertrag.audit.replay import parse_policy, replay

P = [0.9, 0.7, 0.6, 0.4, 0.2]  # with threshold 0.5: three retrieve
CLOSED, OPEN = 3.2, 6.0  # seconds, of conftest


@pytest.fixture
def log(write_log: WriteLog) -> Path:
    entries = [make_entry(number, p) for number, p in enumerate(P)]
    forced = make_entry(7, None, mode=GateMode.ALWAYS, action=GateAction.RETRIEVE, threshold=None)
    decided = make_entry(8, 0.45, cost=None, finish_reason=None)  # Decide: no answer
    cancelled = make_entry(9, 0.95, finish_reason=None)
    said = [
        Feedback(entries[1].id, helpful=True),
        Feedback(entries[2].id, helpful=False),
        Feedback(entries[4].id, helpful=True),
        Feedback("f" * 32, helpful=True),  # for no answer in the log
    ]
    unjudged = make_entry(10, None, action=GateAction.RETRIEVE, threshold=None)
    return write_log([*entries, forced, decided, cancelled, unjudged], said)


def test_the_logged_policy(log: Path) -> None:
    found = replay(read_log(log), "threshold:0.5")
    logged = found.logged
    assert logged == found.replayed
    assert (logged.decisions, logged.retrievals, logged.rate) == (7, 4, 4 / 7)
    assert (logged.answers, logged.lm_calls, logged.retrieval_calls) == (5, 8, 3)
    assert logged.seconds == pytest.approx(3 * OPEN + 2 * CLOSED)
    assert logged.stage_seconds["search"] == pytest.approx(1.5)
    assert (found.changed.total, found.rated) == (0, 3)
    assert (found.forced, found.unjudged, found.torn) == (1, 1, 0)
    assert found.gates == ("training-free-3",)


def test_a_higher_threshold(log: Path) -> None:
    found = replay(read_log(log), "threshold:0.8")
    assert found.threshold == 0.8
    assert (found.replayed.retrievals, found.replayed.retrieval_calls) == (2, 1)
    assert found.replayed.lm_calls == 6
    assert found.replayed.seconds == pytest.approx(OPEN + 4 * CLOSED)
    changed = found.changed
    assert (changed.total, changed.to_retrieve, changed.to_closed_book) == (2, 0, 2)
    assert (changed.helpful, changed.not_helpful) == (1, 1)


def test_forced_policies_save_the_cost_of_the_gate(log: Path) -> None:
    never = replay(read_log(log), "never")
    assert (never.replayed.rate, never.threshold) == (0.0, None)
    assert (never.replayed.lm_calls, never.replayed.retrieval_calls) == (5, 0)
    assert never.replayed.seconds == pytest.approx(5 * (CLOSED - 0.2))  # embed and gate
    always = replay(read_log(log), "always")
    assert (always.replayed.lm_calls, always.replayed.retrieval_calls) == (5, 5)
    assert always.replayed.seconds == pytest.approx(5 * (OPEN - 1.1))  # gate and prefill
    assert always.changed.to_retrieve == 3
    assert always.changed.helpful == 1


@pytest.mark.parametrize(
    ("share", "threshold", "retrievals"),
    [(1, 0.1, 10), (0.3, 0.8, 3), (0.35, 0.8, 3), (0.1, 1.0, 1), (0, None, 0)],
)
def test_a_rate_is_not_exceeded(share: float, threshold: float | None, retrievals: int) -> None:
    p = [number / 10 for number in range(1, 11)]
    policy = parse_policy(f"rate:{share}", p)
    if threshold is not None:
        assert policy.threshold == threshold
    assert sum(value >= policy.threshold for value in p) == retrievals


def test_a_rate_with_equal_probabilities() -> None:
    p = [0.9, 0.5, 0.5, 0.5, 0.1]
    assert parse_policy("rate:0.5", p).threshold == 0.9
    assert parse_policy("rate:0.8", p).threshold == 0.5
    alike = parse_policy("rate:0.5", [0.5] * 4).threshold
    assert 0.5 < alike < 0.5000001


def test_an_action_without_answers_has_no_price(write_log: WriteLog) -> None:
    log = read_log(write_log([make_entry(1, 0.1), make_entry(2, 0.2)]))
    found = replay(log, "always").replayed
    assert (found.rate, found.lm_calls, found.seconds) == (1.0, None, None)
    decided = read_log(write_log([make_entry(1, 0.1, cost=None, finish_reason=None)]))
    assert replay(decided, "never").logged.seconds is None


def test_an_answer_from_both_prompts_is_a_retrieval(write_log: WriteLog) -> None:
    """An earlier version logged its weight and drew some answers below the threshold so."""
    path = write_log([make_entry(1, 0.1, action=GateAction.RETRIEVE)])
    line = json.loads(path.read_bytes())
    path.write_text(json.dumps({**line, "retrieval_weight": 0.6}) + "\n")
    found = replay(read_log(path), "threshold:0.5")
    assert (found.logged.retrievals, found.replayed.retrievals) == (1, 0)
    assert (found.unjudged, found.torn) == (0, 0)


@pytest.mark.parametrize(
    "spec",
    ["", "sometimes", "threshold", "threshold:", "threshold:x", "rate:1.5", "rate:nan", "never:1"],
)
def test_unknown_policies(log: Path, spec: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^policy: "):
        replay(read_log(log), spec)


def test_a_log_of_forced_decisions(write_log: WriteLog) -> None:
    log = read_log(write_log([make_entry(1, None, mode=GateMode.NEVER)]))
    with pytest.raises(
        InvalidArgument, match="no AUTO decision with a probability: all 1 were forced"
    ):
        replay(log, "never")
