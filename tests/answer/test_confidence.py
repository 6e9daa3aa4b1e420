"""Answers judged by a fitted probability that they are right."""

from __future__ import annotations

from dataclasses import replace

import pytest
from answer.conftest import Answered
from serving_fixtures import DoubtingGenerator

from expertrag.answer.confidence import SIGNALS
from expertrag.api.types import Answer, AnswerRequest, FinishReason, GateMode
from expertrag.llm.confidence import Confidence, ConfidenceOwner

LEAVE = "How many days of paid leave do employees of Northwind get?"
OWNER = ConfidenceOwner("doubting", "", "", "doubting")
BY_DOUBT = Confidence({"sufficient": 1.0}, 0.0, 0.6, 0.9, 0.3, OWNER)


def answer_of(
    answered: Answered, mode: GateMode, doubt: float, confidence: Confidence | None = BY_DOUBT
) -> Answer:
    model = DoubtingGenerator("27", doubt, together=doubt)
    model.confidence = confidence
    return answered(model, AnswerRequest(LEAVE, mode))


def test_the_support_is_the_probability_that_the_answer_is_right(answered: Answered) -> None:
    sure, unsure = (answer_of(answered, GateMode.ALWAYS, doubt) for doubt in (0.05, 0.45))
    assert sure.support == pytest.approx(0.95)
    assert sure.unsupported_reason == ""
    assert unsure.support == pytest.approx(0.55)
    assert unsure.unsupported_reason == "The passages may not answer this."


def test_a_flaw_of_the_words_is_named_only_if_the_answer_is_improbable(answered: Answered) -> None:
    for bound, reason in ((0.5, ""), (0.99, "'28' is not in the passage")):
        model = DoubtingGenerator("28", 0.05)
        model.confidence = replace(BY_DOUBT, warn_below=bound)
        found = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS))
        assert found.unsupported_reason.startswith(reason)
        assert bool(found.unsupported_reason) is bool(reason)


def test_an_option_that_no_passage_has_is_always_to_be_checked(answered: Answered) -> None:
    model = DoubtingGenerator("27, with --force", 0.05)
    model.confidence = BY_DOUBT
    answer = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS))
    assert answer.unsupported_reason.startswith("'--force' is not in the passage")
    assert answered(model, AnswerRequest(LEAVE, GateMode.STRICT)).abstained


@pytest.mark.parametrize(("doubt", "given"), [(0.05, True), (0.2, False)])
def test_strict_gives_answers_that_are_probably_right(
    answered: Answered, doubt: float, given: bool
) -> None:
    answer = answer_of(answered, GateMode.STRICT, doubt)
    assert (answer.finish_reason is not FinishReason.ABSTAINED) is given
    assert answer.support == pytest.approx(1 - doubt)
    assert bool(answer.unsupported_reason) is not given


def test_without_weights_the_words_and_the_doubt_count(answered: Answered) -> None:
    answer = answer_of(answered, GateMode.ALWAYS, 0.45, confidence=None)
    assert answer.support == pytest.approx(0.55)
    assert answer.unsupported_reason == ""


def test_all_signals_are_measured(answered: Answered) -> None:
    every = replace(BY_DOUBT, weights=dict.fromkeys(SIGNALS, 0.0))
    assert answer_of(answered, GateMode.ALWAYS, 0.05, every).support == pytest.approx(0.5)
