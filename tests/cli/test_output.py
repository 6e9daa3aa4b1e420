"""Lines printed above and below the text of an answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from expertrag.api.types import (
    Answer,
    AnswerEvent,
    FinishReason,
    GateAction,
    GateDecision,
    GateEvent,
    GateMode,
    Passage,
    PassagesEvent,
    Usage,
)
from expertrag.cli.output import print_answer_facts, print_answer_heading

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
        (GateEvent(ALONE), GateMode.AUTO, "From the model alone, not from your documents:\n"),
        (
            PassagesEvent((), 1),
            GateMode.AUTO,
            "From the model alone, not from your documents, where nothing was found:\n",
        ),
        (PassagesEvent((), 1), GateMode.STRICT, ""),
    ],
)
def test_only_answers_from_the_model_alone_have_a_heading(
    capsys: pytest.CaptureFixture[str], event: AnswerEvent, mode: GateMode, heading: str
) -> None:
    print_answer_heading(event, mode)
    assert capsys.readouterr().out == heading


@pytest.mark.parametrize(
    ("finish_reason", "label"),
    [(FinishReason.STOP, "Not supported"), (FinishReason.ABSTAINED, "Withheld, not supported")],
)
def test_the_unsupported_reason_is_printed_first(
    capsys: pytest.CaptureFixture[str], finish_reason: FinishReason, label: str
) -> None:
    reason = "'--force' is not\nin \x1b[2Jthe passage"
    print_answer_facts(
        replace(
            ANSWER,
            finish_reason=finish_reason,
            from_documents=finish_reason is FinishReason.STOP,
            unsupported_reason=reason,
        )
    )
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{label}: '--force' is not in [2Jthe passage"


@pytest.mark.parametrize(
    ("answer", "first"),
    [
        (replace(ANSWER, support=1.0), "Sources: none of the 1 passages"),
        (replace(ANSWER, decision=ALONE, from_documents=False, passages=()), "Gate: closed_book"),
    ],
    ids=["no reason known", "told above the text"],
)
def test_missing_sources_are_not_reported_twice(
    capsys: pytest.CaptureFixture[str], answer: Answer, first: str
) -> None:
    print_answer_facts(answer)
    assert capsys.readouterr().out.startswith(first)
