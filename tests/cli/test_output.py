"""Lines printed above and below the text of an answer, on stderr."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from expertrag.api.events import AnswerEvent, GateEvent, PassagesEvent
from expertrag.api.types import (
    Answer,
    Citation,
    FinishReason,
    GateAction,
    GateDecision,
    GateMode,
    Passage,
    Usage,
)
from expertrag.cli.answer_lines import (
    Detail,
    decision_lines,
    evidence_lines,
    heading_of,
    print_dimmed,
    print_facts,
    source_lines,
)
from expertrag.cli.output import emit_json, source_of

RETRIEVED = GateDecision(GateAction.RETRIEVE, GateMode.AUTO, "It pays.")
ALONE = GateDecision(GateAction.CLOSED_BOOK, GateMode.AUTO, "It does not pay.")
ANSWER = Answer(
    text="Use rm --force.",
    decision=RETRIEVED,
    passages=(Passage("rm", 0, "rm removes files.", 0, 17, 0.5),),
    citations=(),
    usage=Usage(),
    finish_reason=FinishReason.STOP,
    support=0.0,
    generation=1,
    model="m",
    from_documents=True,
)


@pytest.mark.parametrize(
    ("event", "mode", "heading"),
    [
        (GateEvent(RETRIEVED), GateMode.AUTO, ""),
        (PassagesEvent(ANSWER.passages, 1), GateMode.AUTO, ""),
        (GateEvent(ALONE), GateMode.AUTO, "From the model alone, not from your documents:"),
        (
            PassagesEvent((), 1),
            GateMode.AUTO,
            "From the model alone, not from your documents, where nothing was found:",
        ),
        (PassagesEvent((), 1), GateMode.STRICT, ""),
    ],
)
def test_only_answers_from_the_model_alone_have_a_heading(
    event: AnswerEvent, mode: GateMode, heading: str
) -> None:
    assert heading_of(event, mode) == heading


@pytest.mark.parametrize(
    ("finish_reason", "label"),
    [(FinishReason.STOP, "Check this"), (FinishReason.ABSTAINED, "Withheld")],
)
def test_the_unsupported_reason_is_printed_first(finish_reason: FinishReason, label: str) -> None:
    answer = replace(
        ANSWER,
        finish_reason=finish_reason,
        from_documents=finish_reason is FinishReason.STOP,
        unsupported_reason="'--force' is not\nin \x1b[2Jthe passage",
    )
    first = next(source_lines(answer))
    assert first == f"{label}: '--force' is not in [2Jthe passage"


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (replace(ANSWER, support=1.0), "Sources: none of the 1 passage supports"),
        (replace(ANSWER, decision=ALONE, from_documents=False, passages=()), "Gate: closed_book"),
    ],
    ids=["no reason known", "told above the text"],
)
def test_missing_sources_are_not_reported_twice(
    capsys: pytest.CaptureFixture[str], answer: Answer, first: str
) -> None:
    print_facts(answer, Detail.FACTS)
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[1].startswith(first)) == ("", True)


CITED = replace(
    ANSWER,
    passages=(
        Passage("rm", 0, "Of rm. It removes files.", 0, 24, 0.5, title="rm", page=4),
        Passage("cp", 0, "cp copies files.", 0, 16, 0.4),
    ),
    citations=(Citation(0, 15, 1, "rm", 7, 24, 0.9, page=5),),
    usage=Usage(1, 1, 30, 5, 18, stage_seconds={"search": 0.25, "generate": 1.0}),
    support=1.0,
)


def test_how_much_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    print_facts(CITED, Detail.NOTHING)
    assert capsys.readouterr() == ("", "")
    print_facts(CITED, Detail.FACTS)
    assert capsys.readouterr().err.splitlines() == [
        "",
        "Supported by the documents.",
        "Source [1]: rm, page 5",
        "  \u201cIt removes files.\u201d",
        "Gate: retrieve (auto). It pays.",
    ]
    print_facts(CITED, Detail.EVERYTHING)
    lines = capsys.readouterr().err.splitlines()
    assert lines[4:10] == [
        "Passages:",
        "  1. 0.500  rm, page 4  characters 0-24",
        "     Of rm. It removes files.",
        "  2. 0.400  cp  characters 0-16",
        "     cp copies files.",
        "Probability that the answer is right: 1.00",
    ]
    assert lines[-1] == (
        "Cost: lm_calls 1, retrieval_calls 1, tokens 30 + 5, vectors scanned 18, "
        "seconds 1.25 (search 0.25, generate 1.00)"
    )


def test_an_abstention_names_the_documents_that_came_closest() -> None:
    passages = [
        Passage(name, number, "Text.", 0, 5, 0.5, title=name.title(), source=f"/share/{name}.md")
        for number, name in enumerate(["travel", "travel", "leave", "pay", "car"])
    ]
    answer = replace(ANSWER, passages=tuple(passages), finish_reason=FinishReason.ABSTAINED)
    assert list(source_lines(answer)) == [
        "Closest: Travel, travel.md",
        "         Leave, leave.md",
        "         Pay, pay.md",
    ]


@pytest.mark.parametrize(
    ("metadata", "source"),
    [
        ({}, "Leave, hr/leave.docx, page 2"),
        ({"modified": "2025-03-04"}, "Leave, hr/leave.docx, page 2, 2025-03-04"),
        (
            {"modified": "2025-03-04", "date": "2024-01-02T10:00:00+00:00"},
            "Leave, hr/leave.docx, page 2, 2024-01-02",
        ),
    ],
)
def test_a_source_has_its_file_page_and_date(metadata: dict[str, str], source: str) -> None:
    passage = Passage("hr/leave.docx", 0, "Text.", 0, 5, 0.5, title="Leave", metadata=metadata)
    assert source_of(replace(passage, source="/share/hr/leave.docx"), 2) == source


def test_a_decision_in_brief_has_no_numbers() -> None:
    decision = replace(RETRIEVED, p_benefit=0.31, threshold=0.12)
    (line,) = decision_lines(decision, brief=True)
    assert line == "Gate: searched your documents, which seem to be about this"
    (line,) = decision_lines(decision)
    assert line == "Gate: retrieve (auto, p_benefit 0.31 against 0.12). It pays."


def test_what_a_decision_rests_on() -> None:
    decision = replace(
        RETRIEVED,
        p_benefit=0.31,
        threshold=0.12,
        p_correct_closed_book=0.1,
        p_correct_retrieval=0.4,
        contributions={"question": -0.25, "store": 1.0, "new": 0.0},
        signals={"store.coverage": 0.5, "question.year": 0.0, "question.list": 0.0},
    )
    assert list(evidence_lines(decision)) == [
        "  probabilities",
        "    0.31  retrieval improves the answer",
        "    0.12  needed for a retrieval (the threshold)",
        "    0.10  the model is right alone",
        "    0.40  the model is right with the documents",
        "  contributions to the log odds that retrieval improves the answer",
        f"    +1.00  what the store covers   {'█' * 20}",
        f"    -0.25  the question's wording  {'█' * 5}",
        "    +0.00  new",
        "  signals",
        "    store.coverage 0.500",
        "    and 2 that are 0",
    ]
    assert list(evidence_lines(ALONE)) == []


@pytest.mark.parametrize(
    ("terminal", "env", "codes"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_lines_are_dimmed_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, env: dict[str, str], codes: bool
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    monkeypatch.setattr("sys.stderr", written := Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    print_dimmed(["Gate: retrieve"])
    shown = "\x1b[2mGate: retrieve\x1b[0m\n" if codes else "Gate: retrieve\n"
    assert written.getvalue() == shown


def test_json_has_null_for_what_is_no_number(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"loss": float("nan"), "rise": [float("inf"), 1.5]})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "loss": None, "rise": [None, 1.5],
    }  # fmt: skip
