"""The log of one pipeline: its content, and that its failures do not fail answers."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from file_helper import no_file_beyond

from expertrag.api.errors import Conflict, InvalidArgument, Unavailable
from expertrag.api.events import DoneEvent, TableEvent
from expertrag.api.types import (
    AnswerTable,
    Coverage,
    Feedback,
    FinishReason,
    GateAction,
    GateDecision,
    GateMode,
    QuestionScope,
)
from expertrag.audit import Audit
from expertrag.audit.audit import FEEDBACK, WORDING
from expertrag.config import AuditConfig
from expertrag.runtime.meter import Meter

DECISION = GateDecision(
    GateAction.RETRIEVE,
    GateMode.AUTO,
    "it pays",
    0.5,
    0.7,
    0.1,
    {"margin": 0.2, "question_words": 3.0},
    "g-1",
)
SECRET = "xyzzy"
ID = "0" * 32


def answer(audit: Audit, *, finished: bool = True) -> str:
    meter = Meter()
    with audit.answering(f"What is {SECRET}?", 3, meter) as entry:
        decision = entry.record_decision(DECISION)
        meter.add(lm_calls=2)
        if finished:
            why = f"'{SECRET}' is not in the passage"
            done = DoneEvent(FinishReason.STOP, 0.25, from_documents=True, unsupported_reason=why)
            entry.finish(done)
    return decision.id


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_for_an_answer_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    name = answer(Audit(path))
    (line,) = lines(path)
    assert SECRET not in path.read_text()
    assert line.pop("time")
    cost = line.pop("cost")
    assert isinstance(cost, dict)
    assert (cost["lm_calls"], cost["retrieval_calls"]) == (2, 0)
    assert line == {
        "id": name,
        "generation": 3,
        "gate": "g-1",
        "mode": "auto",
        "action": "retrieve",
        "threshold": 0.5,
        "p_benefit": 0.7,
        "p_correct_closed_book": 0.1,
        "signals": {"margin": 0.2},
        "finish_reason": "stop",
        "support": 0.25,
        "from_documents": True,
    }


def test_the_question_is_logged_if_texts_is_set(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    answer(Audit(path, texts=True))
    (line,) = lines(path)
    assert line["question"] == f"What is {SECRET}?"
    assert line["signals"] == {"margin": 0.2, "question_words": 3.0}


COUNTED = TableEvent(
    AnswerTable(("title",), ((SECRET,),), ((SECRET,),), f"SELECT title WHERE name = '{SECRET}'"),
    Coverage(42, 1, 40, 2, False, f"{SECRET}.pdf could not be read"),
)


def count(audit: Audit) -> None:
    with audit.answering(f"How many are {SECRET}?", 3, Meter()) as entry:
        entry.record_decision(replace(DECISION, scope=QuestionScope.COUNT))
        entry.record_table(COUNTED)
        entry.finish(DoneEvent(FinishReason.STOP, from_documents=True))


def test_a_count_is_logged_without_its_rows_and_texts(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    count(Audit(path))
    (line,) = lines(path)
    assert SECRET not in path.read_text()
    assert (line["scope"], "query" in line) == ("count", False)
    covered = {"searched": 42, "matched": 1, "read": 40, "left_out": 2, "complete": False}
    assert line["coverage"] == {**covered, "reason": ""}


def test_with_texts_a_count_is_logged_with_its_query(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    count(Audit(path, texts=True))
    (line,) = lines(path)
    assert line["query"] == COUNTED.table.query
    assert line["coverage"]["reason"] == COUNTED.coverage.reason  # type: ignore[index]  # JSON
    assert path.read_text().count("title") == 1  # of the query: rows are not logged


def test_wording_prefixes_match_the_gates_signal_names() -> None:
    from expertrag_retriever.gate.question import question_signals

    assert all(name.startswith(WORDING) for name in question_signals("Who was first?"))


def test_an_unfinished_answer_is_still_logged(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    answer(audit, finished=False)
    with pytest.raises(ZeroDivisionError), audit.answering("?", 1, Meter()) as entry:
        entry.record_decision(DECISION)
        raise ZeroDivisionError
    with audit.answering("never decided", 1):
        pass
    assert [("finish_reason" in line, "cost" in line) for line in lines(path)] == [
        (False, True),
        (False, True),
    ]


def test_a_full_disk_and_its_end_are_logged_once_each(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.jsonl"
    audit = Audit(path)
    with caplog.at_level(logging.WARNING, "expertrag.audit"):
        with no_file_beyond(10):
            names = [answer(audit) for _ in range(5)]
        assert len(set(names)) == 5
        assert len(caplog.messages) == 1
        assert "answers continue without it" in caplog.messages[0]
        names = [answer(audit), answer(audit)]
    assert caplog.messages[1:] == ["audit log written again; 5 decisions are missing"]
    torn, *whole = path.read_bytes().splitlines()
    assert len(torn) == 10
    assert [json.loads(line)["id"] for line in whole] == names
    assert SECRET not in caplog.text


def test_an_unserializable_entry_does_not_fail_an_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audit = Audit(tmp_path / "gone" / "audit.jsonl")
    with audit.answering("?", 1) as entry:
        entry.record_decision(
            GateDecision(GateAction.RETRIEVE, GateMode.AUTO, "", p_benefit=float("nan"))
        )
    with audit.answering("?", 1) as entry:
        entry.record_decision(DECISION)
    assert len(caplog.messages) == 1


def test_logging_resumes_when_the_folder_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    audit = Audit.of(AuditConfig(path=str(folder / "audit.jsonl")))
    shutil.rmtree(folder)
    answer(audit)
    folder.mkdir()
    answer(audit)
    assert len(lines(folder / "audit.jsonl")) == 1


def test_an_unwritable_path_raises_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/proc/none/audit.jsonl")):
        with pytest.raises(InvalidArgument, match=r"audit\.path: .* cannot be written") as caught:
            Audit.of(AuditConfig(path=str(path)))
        assert caught.value.metadata == {"field": "audit.path"}
    with pytest.raises(InvalidArgument, match="the name of the feedback file"):
        Audit.of(AuditConfig(path=str(tmp_path / FEEDBACK)))
    Audit.of(AuditConfig()).close()  # no log is not an error


def test_feedback_is_stored_next_to_the_log(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    audit.feedback(Feedback(ID, helpful=False))
    audit.feedback(Feedback(ID, correct_answer="Four.", query="How many?"))
    first, second = lines(tmp_path / FEEDBACK)
    assert first.pop("time")
    assert second.pop("time")
    assert first == {"answer_id": ID, "helpful": False}
    assert second == {"answer_id": ID, "correct_answer": "Four.", "query": "How many?"}


@pytest.mark.parametrize(
    ("feedback", "field"),
    [
        (Feedback("short", helpful=True), "answer_id"),
        (Feedback(ID + "\n", helpful=True), "answer_id"),
        (Feedback(ID), "helpful"),
        (Feedback(ID, correct_answer=" "), "correct_answer"),
        (Feedback(ID, correct_answer="x" * 5_000), "correct_answer"),
        (Feedback(ID, helpful=True, query=""), "query"),
        (Feedback(ID, helpful="yes"), "helpful"),  # type: ignore[arg-type]
    ],
)
def test_wrong_feedback_names_its_field(tmp_path: Path, feedback: Feedback, field: str) -> None:
    with pytest.raises(InvalidArgument, match=f"^{field}: ") as caught:
        Audit(tmp_path / "audit.jsonl").feedback(feedback)
    assert caught.value.metadata == {"field": field}
    assert not (tmp_path / FEEDBACK).exists()


def test_feedback_that_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="--audit-path") as caught:
        Audit().feedback(Feedback(ID, helpful=True))
    assert caught.value.reason == "AUDIT_OFF"
    with pytest.raises(Unavailable, match="free some space") as full:
        Audit(tmp_path / "gone" / "audit.jsonl").feedback(Feedback(ID, helpful=True))
    assert full.value.reason == "STORAGE_FULL"
