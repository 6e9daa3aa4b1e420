"""Questions about the asker's own organisation: from the documents or not at all."""

from __future__ import annotations

import pytest
from serving_fixtures import KnowingGenerator, OpenPipeline

from expertrag.answer.internal import SIGNAL, is_internal, retrieve_if_internal
from expertrag.answer.verdict import Verdict
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateAction, GateDecision, GateMode
from expertrag.llm.abstentions import ABSTENTION
from expertrag.llm.probe import INTERNAL_FROM

CLOSED = GateDecision(GateAction.CLOSED_BOOK, GateMode.AUTO, "Not about the documents.")


def test_an_internal_question_is_answered_from_the_documents_or_not_at_all(
    open_pipeline: OpenPipeline,
) -> None:
    pipeline = open_pipeline(KnowingGenerator("The moon is made of cheese."))
    answer = fold(pipeline.answer(AnswerRequest("Who chairs our choir of quokkas?")))
    assert answer.decision.retrieve
    assert answer.abstained
    assert answer.text == ABSTENTION


def test_other_questions_are_left_to_the_gate(open_pipeline: OpenPipeline) -> None:
    pipeline = open_pipeline(KnowingGenerator("Why not?"))
    answer = fold(pipeline.answer(AnswerRequest("Say hello to a quokka, please!")))
    assert answer.decision.action is GateAction.CLOSED_BOOK
    assert answer.decision.signals[SIGNAL] < INTERNAL_FROM
    assert answer.text == "Why not?"


@pytest.mark.parametrize(("probability", "retrieves"), [(None, False), (0.1, False), (0.9, True)])
def test_only_internal_questions_change_a_decision(
    probability: float | None, retrieves: bool
) -> None:
    decision = retrieve_if_internal(Verdict.of(CLOSED), probability).result
    assert decision.retrieve is retrieves is is_internal(decision)
    assert ("your own organisation" in decision.reason) is retrieves


@pytest.mark.parametrize(("probability", "strictly"), [(None, False), (0.1, False), (0.9, True)])
def test_a_retrieved_question_that_is_internal_is_marked(
    probability: float | None, strictly: bool
) -> None:
    retrieved = GateDecision(GateAction.RETRIEVE, GateMode.AUTO, "About the documents.")
    decision = retrieve_if_internal(Verdict.of(retrieved), probability).result
    assert (decision.action, decision.reason) == (retrieved.action, retrieved.reason)
    assert is_internal(decision) is strictly
