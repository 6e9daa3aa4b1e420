"""``expertrag gate feedback``, ``replay`` and ``annotate``."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from audit_fixtures import NOW, make_entry
from command_line import Run

from expertrag.api.types import Feedback, Usage
from expertrag.audit import AuditEntry
from expertrag.audit.entries import dump_entry, dump_feedback
from expertrag.audit.reading import read_log

QUESTIONS = {0.9: "Sure?", 0.55: "Nearly?", 0.4: "Less?"}
TypeIn = Callable[[str], None]


def entry(number: int, p: float, question: str | None) -> AuditEntry:
    retrieved = p >= 0.5
    cost = Usage(1 + retrieved, int(retrieved), stage_seconds={"generate": 1.0 + retrieved})
    return make_entry(number, p, question=question, cost=cost)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three decisions, two of which retrieve, and a torn line."""
    path = tmp_path / "log" / "audit.jsonl"
    path.parent.mkdir()
    entries = [entry(number, p, text) for number, (p, text) in enumerate(QUESTIONS.items())]
    path.write_bytes(b"\n".join([*map(dump_entry, entries), b'{"id":']))
    said = dump_feedback(Feedback(entries[1].id, helpful=False), NOW)
    path.with_name("feedback.jsonl").write_bytes(said + b"\n")
    return path


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> TypeIn:
    """Sets the text on standard input."""
    return lambda text: monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_replay_as_text(run: Run, log: Path) -> None:
    ran = run("gate", "replay", log, "--policy", "threshold:0.6").ok()
    lines = [line.split() for line in ran.out.splitlines()]
    assert lines[:6] == [
        ["logged", "replayed"],
        ["decisions", "3", "3"],
        ["retrieval", "rate", "0.667", "0.333"],
        ["lm", "calls", "5", "4"],
        ["retrieval", "calls", "2", "1"],
        ["seconds", "5.00", "4.00"],
    ]
    assert "threshold 0.6\n" in ran.out
    assert "1 decisions change: 0 to retrieve, 1 to closed book" in ran.out
    assert "called 0 helpful and 1 not (rated: 1 of 3)" in ran.out
    assert "costs are estimated from the log's own mean costs" in ran.err
    assert "of 3 finished answers; skipped: 1 torn lines" in ran.err


def test_replay_as_json(run: Run, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPERTRAG_REPLAY_POLICY", "rate:0.34")
    ran = run("gate", "replay", log, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json()
    assert (found["threshold"], found["replayed"]["rate"]) == (0.9, 1 / 3)
    assert found["changed"] == {
        "total": 1, "to_retrieve": 0, "to_closed_book": 1, "helpful": 0, "not_helpful": 1,
    }  # fmt: skip
    assert found["torn"] == 1
    assert "estimated" in found["basis"]


def test_replay_reports_unknown_costs(run: Run, log: Path) -> None:
    log.write_bytes(dump_entry(entry(1, 0.1, None)) + b"\n")
    ran = run("gate", "replay", log, "--policy", "always").ok()
    assert ran.out.count("unknown") == 3
    assert "its cost is unknown" in ran.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["no.jsonl", "--policy", "never"], 4, "no audit log no.jsonl"),
        (["LOG", "--policy", "sometimes"], 2, "choose one of threshold:T, never, always, rate:R"),
        (["LOG", "--policy", "rate:2"], 2, "not a number from 0 to 1"),
        (["LOG"], 2, "--policy"),
    ],
)
def test_invalid_replays(
    run: Run, log: Path, arguments: list[str], code: int, message: str
) -> None:
    run("gate", "replay", *(str(log) if word == "LOG" else word for word in arguments)).fails(
        code, message
    )


def test_feedback_in_process_needs_no_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    name = "0" * 32
    command = ["gate", "feedback", name, "--not-helpful", "--index", store]
    run(*command).fails(6, "no audit log is kept here")
    log = tmp_path / "log" / "audit.jsonl"
    ran = run(*command, "--answer", "Rome", "--query", "Where?", "--audit-path", log)
    assert (ran.code, ran.out, ran.err) == (0, f"stored feedback on {name}\n", "")
    monkeypatch.setenv("EXPERTRAG_AUDIT_PATH", str(log))
    ran = run("gate", "feedback", name, "--helpful", "--index", store, "--json")
    assert ran.json() == {
        "answer_id": name, "helpful": True, "correct_answer": None,
    }  # fmt: skip
    log.write_bytes(dump_entry(entry(0, 0.5, None)) + b"\n")
    assert read_log(log).feedback == {name: Feedback(name, True, "Rome", "Where?")}
    run("gate", "feedback", name, "--index", store).fails(2, "set at least one of them")
