"""The best passage first: when it answers, what is cited, what it costs; in the real pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from answer.conftest import Answered
from serving_fixtures import DoubtingGenerator

from expertrag.answer.best_passage import open_session
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


def test_the_passage_with_the_lowest_doubt_answers(answered: Answered) -> None:
    model = DoubtingGenerator(_ANSWER, 0.3, 0.6, 0.02, 0.3)
    model.reply = "dirty pages"  # the third passage says so
    found = answered(model, AnswerRequest(LEAVE, GateMode.ALWAYS, k=4))
    *apart, answering = model.prompts
    assert len(apart) == 4
    assert answering == apart[2]
    assert found.p_sufficient == pytest.approx(0.98)
    assert [citation.passage for citation in found.citations] == [3]
    assert found.usage.lm_calls == 5
    assert model.open_sessions == 0


@pytest.mark.parametrize(
    ("doubts", "scores", "chosen"),
    [
        ((0.2, 0.1), (1.0, 0.9), 1),
        ((0.2, 0.1), (2.0, 0.9), 0),
        ((0.3, 0.2), (2.0, 0.5), None),
        ((0.8, 0.75), (1.0, 1.0), 1),
        ((0.8, 0.65), (1.0, 1.0), None),
    ],
    ids=["doubted less", "found better", "chosen and doubted", "none hold it", "some may"],
)
def test_the_search_score_counts_too(
    doubts: tuple[float, ...], scores: tuple[float, ...], chosen: int | None
) -> None:
    passages = [
        Passage(f"d{number}", 0, f"text {number}", 0, 6, score)
        for number, score in enumerate(scores)
    ]
    model = DoubtingGenerator(_ANSWER, *doubts)
    session, alone = open_session(lambda shown: begun(model, shown), passages, Meter())
    session.close()
    assert alone == chosen


@pytest.mark.parametrize("mode", [GateMode.ALWAYS, GateMode.STRICT])
@pytest.mark.parametrize(("doubt", "abstains_in_strict"), [(0.2, False), (0.6, True)])
def test_all_passages_are_read_together_if_none_is_likely(
    answered: Answered, mode: GateMode, doubt: float, *, abstains_in_strict: bool
) -> None:
    model = DoubtingGenerator(_ANSWER, 0.3, together=doubt)
    found = answered(model, AnswerRequest(LEAVE, mode))
    assert found.abstained is (mode is GateMode.STRICT and abstains_in_strict)
    assert found.p_sufficient == pytest.approx(1 - doubt)
    *apart, together = model.prompts
    assert len(apart) == len(found.passages) == 5
    assert not any("\n\n[2]" in shown for shown in apart)
    assert "\n\n[5]" in together
    # both prompts share the prefix up to the question, so the best passage is prefilled once
    assert together.startswith(apart[0].partition("Question:")[0])
    assert found.usage.lm_calls == 6
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
    session, alone = open_session(lambda shown: begun(model, shown), sample, Meter())
    assert alone is None
    assert "\n\n[2]" in model.prompts[-1]
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
    """Two passages."""
    return [Passage(f"d{number}", 0, f"text {number}", 0, 6, 1.0) for number in range(2)]
