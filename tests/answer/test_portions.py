"""Passages read in portions: when they answer, what is cited, what it costs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from answer.conftest import Answered
from serving_fixtures import DoubtingGenerator

from expertrag.answer.portions import open_session, read_again
from expertrag.api.errors import Cancelled
from expertrag.api.types import AnswerRequest, Constraint, GateMode, Passage, Sampling
from expertrag.llm import prompt
from expertrag.llm.base import Message, Session, never_stop
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
    reading = open_session(lambda some: begun(model, some), sample, meter)
    assert (len(model.prompts), list(reading.shown)) == (prompts, sample[:shown])
    assert meter.usage().lm_calls == prompts - 1  # the caller counts the one that answers
    assert model.open_sessions == 1
    assert "".join(delta.text for delta in reading.deltas) == _ANSWER
    reading.session.close()
    for shorter, longer in itertools.pairwise(model.prompts):  # so its prefill is reused
        assert longer.startswith(shorter.partition("Question:")[0])


class SplitGenerator(DoubtingGenerator):
    """Answers each portion otherwise."""

    def __init__(self, replies: Sequence[str], *doubts: float) -> None:
        super().__init__("", *doubts)
        self.replies = replies

    def reply_to(self, messages: Sequence[Message]) -> str:
        super().reply_to(messages)
        return self.replies[len(self.prompts) - 1]


@pytest.mark.parametrize(
    ("replies", "doubts", "answer", "agreement"),
    [
        (("30 days", "27 days.", "27"), (0.2, 0.3, 0.4), "27 days.", 0.5),
        (("No.", "No, it is not.", "Yes."), (0.3, 0.2, 0.15), "No, it is not.", 0.5),
        (("Rollo", "Rollo of Norway", "Rollo"), (0.2, 0.3, 0.3), "Rollo", 1.0),
        (("25", "26", "27"), (0.3, 0.2, 0.25), "26", 0.0),
        (("25", "26", "27"), (0.3, 0.6, 0.7), "25", 0.0),
        (("25", "26", "26"), (0.3, 0.05, 0.2), "26", 1.0),  # sure, so nothing is compared
    ],
)
def test_in_doubt_the_answer_of_most_portions_is_given(
    sample: list[Passage],
    replies: Sequence[str],
    doubts: Sequence[float],
    answer: str,
    agreement: float,
) -> None:
    model, meter = SplitGenerator(replies, *doubts), Meter()
    reading = open_session(lambda some: begun(model, some), sample, meter)
    assert "".join(delta.text for delta in reading.deltas) == answer
    assert reading.agreement == agreement
    reading.session.close()
    assert model.open_sessions == 0


@pytest.mark.parametrize(
    ("replies", "doubts", "agreement", "read"),
    [
        (("27", "27 days"), (0.05, 0.2), 1.0, 2),
        (("27", "30 days"), (0.05, 0.2), 0.0, 2),
        (("27", "27"), (0.05, 0.6), 0.0, 2),  # the next portion does not answer
        (("27", "30"), (0.03, 0.2), 1.0, 1),  # certain
        (("25", "26", "25", "26"), (0.3, 0.2, 0.15), 0.5, 3),  # compared before
    ],
)
def test_a_sure_answer_is_compared_with_the_one_of_the_next_portion(
    sample: list[Passage],
    replies: Sequence[str],
    doubts: Sequence[float],
    agreement: float,
    read: int,
) -> None:
    model, meter = SplitGenerator(replies, *doubts), Meter()
    reading = open_session(lambda some: begun(model, some), sample, meter)
    answer = "".join(delta.text for delta in reading.deltas)
    again = read_again(reading, answer, meter)
    assert (again.agreement, len(model.prompts)) == (agreement, read)
    assert again.first_doubt == doubts[0]
    assert again.next_doubt == (doubts[1] if read == 2 else reading.next_doubt)
    reading.session.close()
    assert model.open_sessions == 0


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
    reading = open_session(lambda some: begun(model, some), sample, Meter())
    assert reading.shown == sample
    assert model.open_sessions == 1
    reading.session.close()


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
