"""Passages read in portions: when they answer, what is cited, what it costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from answer.conftest import Answered
from serving_fixtures import DoubtingGenerator

from expertrag.answer.reading import open_session
from expertrag.api.errors import Cancelled
from expertrag.api.types import AnswerRequest, Constraint, GateMode, Passage, Sampling
from expertrag.llm import prompt
from expertrag.llm.base import Session, never_stop
from expertrag.runtime.meter import Meter

LEAVE = "How many days of paid leave do employees of Northwind get?"
_ANSWER = "27"


@pytest.mark.parametrize("mode", [GateMode.AUTO, GateMode.ALWAYS, GateMode.STRICT])
def test_the_best_passage_answers_if_its_doubt_is_low(answered: Answered, mode: GateMode) -> None:
    model = DoubtingGenerator(_ANSWER, 0.05)
    found = answered(model, AnswerRequest(LEAVE, mode))
    assert found.text == _ANSWER
    assert found.p_sufficient == pytest.approx(0.95)
    (citation,) = found.citations
    assert (citation.passage, citation.document_id) == (1, "office/leave")
    assert len(found.passages) == 5
    (shown,) = model.prompts
    assert shown.startswith("[1] ")
    assert "\n\n[2]" not in shown
    assert model.open_sessions == 0


def test_the_passage_that_was_read_is_cited(answered: Answered) -> None:
    """Even if another one says the same."""
    model = DoubtingGenerator(_ANSWER, 0.05)
    model.reply = "Northwind [2]"
    found = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS))
    assert [citation.document_id for citation in found.citations] == ["office/leave"]
    assert found.text == "Northwind [1]"


@pytest.mark.parametrize(
    ("doubts", "prompts", "shown"),
    [
        ((0.05,), 1, 1),
        ((0.3, 0.05), 2, 3),
        ((0.3, 0.2, 0.15), 3, 5),
        ((0.3, 0.2, 0.25), 3, 3),
        ((0.2, 0.3, 0.25), 3, 1),
        ((0.2, 0.2, 0.2), 3, 1),
    ],
)
def test_passages_are_read_until_the_doubt_is_low(
    sample: list[Passage], doubts: tuple[float, ...], prompts: int, shown: int
) -> None:
    """Those with the lowest doubt answer, as few as possible."""
    model, meter = DoubtingGenerator(_ANSWER, *doubts), Meter()
    session, passages = open_session(lambda some: begun(model, some), sample, meter)
    assert (len(model.prompts), list(passages)) == (prompts, sample[:shown])
    assert meter.usage().lm_calls == prompts - 1  # the caller counts the one that answers
    assert model.open_sessions == 1
    session.close()
    for shorter, longer in itertools.pairwise(model.prompts):  # so its prefill is reused
        assert longer.startswith(shorter.partition("Question:")[0])


@pytest.mark.parametrize("mode", [GateMode.ALWAYS, GateMode.STRICT])
@pytest.mark.parametrize(("doubt", "abstains_in_strict"), [(0.2, False), (0.6, True)])
def test_all_passages_are_read_if_fewer_are_not_likely_to_hold_the_answer(
    answered: Answered, mode: GateMode, doubt: float, *, abstains_in_strict: bool
) -> None:
    model = DoubtingGenerator(_ANSWER, 0.9, 0.9, together=doubt)
    found = answered(model, AnswerRequest(LEAVE, mode))
    assert found.abstained is (mode is GateMode.STRICT and abstains_in_strict)
    assert found.p_sufficient == pytest.approx(1 - doubt)
    assert "\n\n[5]" in model.prompts[-1]
    assert found.usage.lm_calls == len(model.prompts) == 3
    assert found.usage.prompt_tokens >= sum(len(shown.split()) for shown in model.prompts)
    assert model.open_sessions == 0


@pytest.mark.parametrize(
    "request_",
    [
        AnswerRequest("How do employees of Northwind apply for leave?", GateMode.ALWAYS),
        AnswerRequest(LEAVE, GateMode.ALWAYS, k=1),
        AnswerRequest(LEAVE, GateMode.ALWAYS, steps=2),
        AnswerRequest(
            LEAVE, GateMode.ALWAYS, sampling=Sampling(constraint=Constraint(choices=(_ANSWER,)))
        ),
    ],
    ids=["explanation", "one passage", "two searches", "form"],
)
def test_explanations_and_multi_step_answers_use_all_passages_at_once(
    answered: Answered, request_: AnswerRequest
) -> None:
    model = DoubtingGenerator(_ANSWER, 0.05)
    found = answered(model, request_)
    assert ("\n\n[2]" in model.prompts[-1]) is (len(found.passages) > 1)
    assert len(model.prompts) == request_.steps


def test_a_model_without_doubt_gets_all_passages(sample: list[Passage]) -> None:
    model = DoubtingGenerator(_ANSWER, None)
    session, shown = open_session(lambda some: begun(model, some), sample, Meter())
    assert shown == sample
    assert model.open_sessions == 1
    session.close()


def test_a_cancelled_look_closes_its_session(sample: list[Passage]) -> None:
    def stop() -> None:
        raise Cancelled("gone")

    model = DoubtingGenerator(_ANSWER, 0.05)
    with pytest.raises(Cancelled):
        open_session(lambda shown: begun(model, shown, stop), sample, Meter())
    assert model.open_sessions == 0


def begun(
    model: DoubtingGenerator, shown: Sequence[Passage], should_stop: Any = never_stop
) -> Session:
    messages = prompt.open_book(LEAVE, shown)
    return model.begin(messages, Sampling(), should_stop, from_passages=True)


@pytest.fixture
def sample() -> list[Passage]:
    """Five passages."""
    return [Passage(f"d{number}", 0, f"text {number}", 0, 6, 1.0) for number in range(5)]
