"""Answers judged by a fitted probability that they are right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from answer.conftest import Answered
from serving_fixtures import DoubtingGenerator, TellingGenerator, TellingSession

from expertrag.answer.ground import COMPARED_BELOW, SIGNALS, judge_answer
from expertrag.answer.portions import PassageSession
from expertrag.api.types import (
    Answer,
    AnswerRequest,
    FinishReason,
    GateMode,
    Passage,
    Sampling,
)
from expertrag.grounding.ground import ground
from expertrag.llm.base import never_stop
from expertrag.llm.confidence import Confidence, ConfidenceOwner
from expertrag.llm.probe import Owner, Probe

LEAVE = "How many days of paid leave do employees of Northwind get?"
OWNER = ConfidenceOwner("doubting", "", "", "doubting")
VERIFIER = Probe(np.array([1.0, 1.0], np.float32), 0.0, Owner("doubting", "", ""))
"""With a state of 1, an answer is wrong with log odds of 2."""
BY_DOUBT = Confidence({"sufficient": 1.0}, 0.0, 0.6, 0.9, 0.3, OWNER, VERIFIER)


def answer_of(
    answered: Answered, mode: GateMode, doubt: float, confidence: Confidence | None = BY_DOUBT
) -> Answer:
    model = DoubtingGenerator("27", doubt, together=doubt)
    model.reading = replace(model.reading, confidence=confidence)
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
        model.reading = replace(model.reading, confidence=replace(BY_DOUBT, warn_below=bound))
        found = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS))
        assert found.unsupported_reason.startswith(reason)
        assert bool(found.unsupported_reason) is bool(reason)
        assert [each.document_id for each in found.citations] == ["office/leave"]


def test_an_option_that_no_passage_has_is_always_to_be_checked(answered: Answered) -> None:
    model = DoubtingGenerator("27, with --force", 0.05)
    model.reading = replace(model.reading, confidence=BY_DOUBT)
    answer = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS))
    assert answer.unsupported_reason.startswith("'--force' is not in the passage")
    assert answered(model, AnswerRequest(LEAVE, GateMode.STRICT)).abstained


def test_the_value_of_another_column_is_always_to_be_checked() -> None:
    text = "Role: Director | Purchases up to: €150,000 | Credit notes up to: €60,000"
    passages = [Passage("limits", 0, text, 0, len(text), 1.0)]
    question = "Up to which amount may the director sign credit notes?"
    right, wrong = (ground(answer, passages, question) for answer in ("€60,000", "€150,000"))
    assert (right.coverage["misplaced"], wrong.coverage["misplaced"]) == (0.0, 1.0)
    reading = PassageSession(SureSession(), passages, passages, iter(()))
    assert judge_answer(BY_DOUBT, reading, right, 0.1).reason == ""
    assert "stands under 'Purchases up to'" in judge_answer(BY_DOUBT, reading, wrong, 0.1).reason


class SureSession(TellingSession):
    """A session that hardly doubts its passages."""

    def __init__(self) -> None:
        super().__init__(TellingGenerator(), 1, Sampling(), never_stop)
        self.doubt = 0.01


@pytest.mark.parametrize("mode", [GateMode.ALWAYS, GateMode.STRICT])
@pytest.mark.parametrize(("state", "support"), [(-2.0, 0.982), (0.0, 0.5), (2.0, 0.018)])
def test_the_model_is_asked_whether_its_answer_is_right(
    answered: Answered, mode: GateMode, state: float, support: float
) -> None:
    model = DoubtingGenerator("27 [1]", 0.05)
    model.state = state
    model.reading = replace(model.reading, confidence=replace(BY_DOUBT, weights={"verified": 1.0}))
    answer = answered(model, AnswerRequest(LEAVE, mode))
    assert answer.support == pytest.approx(support, abs=1e-3)
    assert bool(answer.unsupported_reason) is (support < BY_DOUBT.warn_below)
    assert answer.usage.stage_seconds["verify"] >= 0
    assert answer.usage.lm_calls == 2 + (support < COMPARED_BELOW)
    assert model.verified == ["27"]  # without its marker
    assert model.open_sessions == 0


@pytest.mark.parametrize(("doubt", "given"), [(0.05, True), (0.2, False)])
def test_strict_gives_answers_that_are_probably_right(
    answered: Answered, doubt: float, given: bool
) -> None:
    answer = answer_of(answered, GateMode.STRICT, doubt)
    assert (answer.finish_reason is not FinishReason.ABSTAINED) is given
    assert answer.support == pytest.approx(1 - doubt)
    assert bool(answer.unsupported_reason) is not given


def test_an_answer_that_is_probably_right_has_a_source(answered: Answered) -> None:
    """Even if its words are not those of a passage; one to be checked has none."""
    for bound, sources in ((0.5, ["office/leave"]), (0.99, [])):
        model = DoubtingGenerator("28", 0.9, together=0.05)
        model.reading = replace(model.reading, confidence=replace(BY_DOUBT, warn_below=bound))
        found = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS))
        assert [each.document_id for each in found.citations] == sources


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Since they asked for it.", "The passages may not answer this."),
        ("They get it with --force.", "'--force' is not in the passage"),
    ],
)
def test_an_explanation_is_verified(answered: Answered, reply: str, reason: str) -> None:
    """Its own words are not called missing: it may be right in other words than a passage."""
    model = DoubtingGenerator(reply, 0.2, together=0.2)
    model.reading = replace(model.reading, confidence=replace(BY_DOUBT, weights={"verified": 1.0}))
    request = AnswerRequest("Why do employees of Northwind get 27 days?", GateMode.ALWAYS)
    for state, listed in ((2.0, reason), (-2.0, reason if "--force" in reply else "")):
        model.state = state
        answer = answered(model, request)
        assert answer.unsupported_reason.startswith(listed)
        assert bool(answer.unsupported_reason) is bool(listed)
    assert model.verified == [reply] * 2
    assert answered(model, replace(request, mode=GateMode.STRICT)).abstained is ("--force" in reply)


def test_without_weights_the_words_and_the_doubt_count(answered: Answered) -> None:
    answer = answer_of(answered, GateMode.ALWAYS, 0.45, confidence=None)
    assert answer.support == pytest.approx(0.55)
    assert answer.unsupported_reason == ""


def test_all_signals_are_measured(answered: Answered) -> None:
    every = replace(BY_DOUBT, weights=dict.fromkeys(SIGNALS, 0.0))
    assert answer_of(answered, GateMode.ALWAYS, 0.05, every).support == pytest.approx(0.5)
