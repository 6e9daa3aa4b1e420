"""Questions about the asker's own organisation: from the documents or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from serving_fixtures import OpenPipeline, TellingGenerator, TellingSession

from expertrag.answer.internal import SIGNAL, is_internal, retrieve_if_internal
from expertrag.answer.reading_policy import ReadingPolicy
from expertrag.answer.verdict import Verdict
from expertrag.api.folding import fold
from expertrag.api.types import AnswerRequest, GateAction, GateDecision, GateMode, Sampling
from expertrag.llm import prompt
from expertrag.llm.base import Message, ShouldStop
from expertrag.llm.probe import INTERNAL_FROM, STATES, Owner, Probe
from expertrag_retriever.types import PrefillSignals

CLOSED = GateDecision(GateAction.CLOSED_BOOK, GateMode.AUTO, "Not about the documents.")


class KnowingGenerator(TellingGenerator):
    """A model in whose hidden states "our" can be read."""

    reading = ReadingPolicy(
        reader=True,
        internal=Probe(np.array([4.0, 4.0], np.float32), -4.0, Owner("telling", "", "")),
    )

    def session(
        self, messages: Sequence[Message], sampling: Sampling, stop: ShouldStop
    ) -> TellingSession:
        session = KnowingSession(self, self.count_tokens(messages), sampling, stop)
        session.reply, session.told_doubt = self.reply, self.doubt
        session.asked = messages[-1].content
        return session


class KnowingSession(TellingSession):
    asked: str

    def peek(self, tokens: int) -> PrefillSignals:
        self.lm_calls = 1
        state = np.array([float("our" in self.asked.split())], np.float32)
        return PrefillSignals(0.1, 3.0, 0.2, tokens, vectors=dict.fromkeys(STATES, state))


def test_an_internal_question_is_answered_from_the_documents_or_not_at_all(
    open_pipeline: OpenPipeline,
) -> None:
    pipeline = open_pipeline(KnowingGenerator("The moon is made of cheese."))
    answer = fold(pipeline.answer(AnswerRequest("Who chairs our choir of quokkas?")))
    assert answer.decision.retrieve
    assert answer.abstained
    assert answer.text == prompt.ABSTENTION


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
