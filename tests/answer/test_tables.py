"""Answers from the tables of a real store."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from serving_fixtures import OpenPipeline, PacedGenerator, TellingGenerator

from expertrag.api.access import Access
from expertrag.api.folding import fold
from expertrag.api.types import (
    Answer,
    AnswerRequest,
    Constraint,
    GateAction,
    GateMode,
    QuestionScope,
    Sampling,
)
from expertrag.audit import NOBODY

TRAVEL = "What did we spend on travel in Q2 2026?"


@pytest.mark.parametrize("mode", [None, GateMode.AUTO, GateMode.ALWAYS, GateMode.STRICT])
def test_a_sum_comes_from_all_rows(
    open_pipeline: OpenPipeline, company_store: Path, mode: GateMode | None
) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    answer = fold(pipeline.answer(AnswerRequest(TRAVEL, mode=mode)))
    assert answer.text.startswith("2,344.61 EUR")
    assert (answer.complete, answer.decision.scope) == (True, QuestionScope.AGGREGATE)
    assert answer.decision.action is GateAction.RETRIEVE
    assert answer.query.startswith('SELECT SUM("amount") FROM "expenses" WHERE')
    assert answer.table is not None
    assert [source for (source,) in answer.table.sources] == [
        "expenses.csv#1",
        "expenses.csv#2",
        "expenses.csv#4",
    ]
    cited = {answer.passages[one.passage - 1].document_id for one in answer.citations}
    assert cited == {"expenses.csv#1", "expenses.csv#2", "expenses.csv#4"}
    assert (answer.usage.lm_calls, answer.unsupported_reason) == (0, "")


def test_a_list_cites_the_document_of_each_line(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    answer = fold(pipeline.answer(AnswerRequest("Which incidents happened in May 2026?")))
    lines = [answer.text[one.answer_start : one.answer_end] for one in answer.citations]
    assert [line.partition(" (")[0] for line in lines] == [
        "- Disk full on backup 2",
        "- Certificate expired on gateway 3",
    ]
    assert [one.document_id for one in answer.citations] == [
        "incidents/INC-2.md",
        "incidents/INC-3.md",
    ]


def test_what_is_not_complete_says_so(open_pipeline: OpenPipeline, company_store: Path) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    question = "How many expenses were there in June?"
    answer = fold(pipeline.answer(AnswerRequest(question)))
    assert answer.complete is None
    assert "2026, 2025" in answer.unsupported_reason
    strict = fold(pipeline.answer(AnswerRequest(question, mode=GateMode.STRICT)))
    assert strict.abstained
    assert "2026, 2025" in strict.unsupported_reason


def test_a_question_about_a_set_without_a_table_is_not_complete(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(TellingGenerator("14 people."), store=company_store)
    request = AnswerRequest(
        "How many people work on the move?", mode=GateMode.ALWAYS, scope=QuestionScope.LIST
    )
    answer = fold(pipeline.answer(request))
    assert answer.complete is None
    assert answer.coverage is not None
    assert answer.coverage.left_out > 0
    assert "best passages" in answer.coverage.reason


@pytest.mark.parametrize(
    "request_",
    [
        AnswerRequest(TRAVEL, mode=GateMode.NEVER),
        AnswerRequest(TRAVEL, scope=QuestionScope.LOOKUP),
        AnswerRequest(TRAVEL, sampling=Sampling(constraint=Constraint(choices=("a", "b")))),
        AnswerRequest("Which moons does Jupiter have?", mode=GateMode.ALWAYS),
    ],
)
def test_other_requests_are_answered_as_before(
    open_pipeline: OpenPipeline, company_store: Path, request_: AnswerRequest
) -> None:
    answer = fold(open_pipeline(PacedGenerator(), store=company_store).answer(request_))
    assert answer.query == ""


def test_a_caller_counts_only_what_it_sees(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    questions = [
        "What is the sum of all bonuses?",
        "List all employees with a bonus.",
        "Bonus of Quill?",
    ]

    def ask(labels: frozenset[str], question: str) -> Answer:
        bound = pipeline.serving(Access(labels=labels), NOBODY)
        return fold(
            bound.answer(AnswerRequest(question, mode=GateMode.ALWAYS, scope=QuestionScope.LIST))
        )

    assert "77001" in json.dumps(asdict(ask(frozenset({"board"}), questions[1])), default=str)
    for question in questions:
        seen = json.dumps(asdict(ask(frozenset(), question)), default=str)
        assert "77001" not in seen
        assert "CANARY" not in seen


def test_a_filter_applies_before_rows_are_counted(
    open_pipeline: OpenPipeline, company_store: Path
) -> None:
    pipeline = open_pipeline(PacedGenerator(), store=company_store)
    request = AnswerRequest("How many incidents were there?", filter={"severity": "high"})
    assert fold(pipeline.answer(request)).text.startswith("2 (all rows")
