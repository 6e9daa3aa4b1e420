"""``expertrag gate annotate``, on the command line."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from audit_fixtures import NOW, make_entry
from command_line import Run

from expertrag.api.types import Feedback, Usage
from expertrag.audit import AuditEntry
from expertrag.audit.entries import dump_entry, dump_feedback

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


def test_annotate_asks_the_least_certain_first(
    run: Run, log: Path, tmp_path: Path, type_in: TypeIn
) -> None:
    data = tmp_path / "mine"
    type_in("yes | certainly\n\nno\n")
    ran = run("gate", "annotate", log, "--out", data).ok()
    asked = [ran.err.index(text) for text in ("Nearly?", "Less?", "Sure?")]
    assert asked == sorted(asked)
    assert ran.out == (
        f"2 questions in {data}: 2 answered now, 0 from feedback; 1 left; skipped: 1 torn lines\n"
    )
    lines = [json.loads(line) for line in (data / "queries.jsonl").read_text().splitlines()]
    assert [(line["text"], line["answers"]) for line in lines] == [
        ("Nearly?", ["yes", "certainly"]),
        ("Sure?", ["no"]),
    ]
    type_in("q\n")
    again = run("gate", "annotate", log, "--out", data, "--json")
    assert "1/1" in again.err
    assert "Less?" in again.err
    assert again.json() == {
        "dataset": str(data), "questions": 2, "annotated": 0, "from_feedback": 0, "left": 1,
        "torn": 1,
    }  # fmt: skip
    assert run("eval", "validate", data).code == 0


def test_annotate_adds_answers_from_feedback_without_asking(
    run: Run, log: Path, tmp_path: Path, type_in: TypeIn
) -> None:
    with log.with_name("feedback.jsonl").open("ab") as file:
        said = Feedback(entry(1, 0.5, None).id, correct_answer="almost")
        file.write(dump_feedback(said, NOW) + b"\n")
    type_in("")  # end of input stops it too
    ran = run("gate", "annotate", log, "--out", tmp_path / "mine", "--json")
    assert ran.json()["from_feedback"] == 1
    assert "Nearly?" not in ran.err
    (line,) = (tmp_path / "mine" / "queries.jsonl").read_text().splitlines()
    assert json.loads(line)["answers"] == ["almost"]


def test_control_characters_of_a_question_are_removed(
    run: Run, log: Path, tmp_path: Path, type_in: TypeIn
) -> None:
    log.write_bytes(dump_entry(entry(1, 0.5, "What\x1b[2J?")) + b"\n")
    type_in("q\n")
    assert "\x1b" not in run("gate", "annotate", log, "--out", tmp_path / "mine").err


def test_a_log_without_texts_cannot_be_annotated(run: Run, log: Path, tmp_path: Path) -> None:
    log.write_bytes(dump_entry(entry(1, 0.5, None)) + b"\n")
    run("gate", "annotate", log, "--out", tmp_path / "mine").fails(
        2, "audit.texts = true (--audit-texts)"
    )
    assert not (tmp_path / "mine").exists()


def test_annotated_questions_need_a_store(run: Run, log: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    line = {"_id": "1", "text": "Where?", "answers": ["Rome"]}
    (tmp_path / "mine" / "queries.jsonl").write_text(json.dumps(line) + "\n")
    run("eval", "record", tmp_path / "mine", "--out", tmp_path / "rows.jsonl").fails(
        2, "name the store that answers them with --index"
    )
