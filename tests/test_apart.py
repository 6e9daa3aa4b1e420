"""Passages read apart: which one answers, what is cited, what it costs; in the real pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import TellingGenerator

from expertrag import prompt
from expertrag.apart import least_doubtful
from expertrag.errors import Cancelled
from expertrag.folding import fold
from expertrag.generation.base import Message, Session, ShouldStop, never_stop
from expertrag.meter import Meter
from expertrag.pipeline import Pipeline
from expertrag.types import Answer, AnswerRequest, Constraint, GateMode, Sampling

LEAVE = "How many days of paid leave do employees of Northwind get?"
_ANSWER = "27"
_SURE = 0.05


class LookingGenerator(TellingGenerator):
    """Reads passages apart; its doubt is small where a prompt holds the answer."""

    apart = True

    def __init__(self, unsure: float = 0.9) -> None:
        super().__init__(_ANSWER)
        self.unsure, self.holding = unsure, _ANSWER
        self.doubts: dict[str, float | None] = {}
        self.prompts: list[str] = []

    def reply_to(self, messages: Sequence[Message]) -> str:
        """Set the doubt of a prompt, too; those that show passages are kept."""
        shown = messages[-1].content
        if prompt.shows_passages(messages):
            self.prompts.append(shown)
        known = _SURE if self.holding in shown else self.unsure
        self.doubt = self.doubts.get(shown, known)
        return self.reply


def answered(store: Path, embedder: Any, model: TellingGenerator, request: AnswerRequest) -> Answer:
    with closing(Pipeline(store, embedder, model)) as pipeline:
        return fold(pipeline.answer(request))


@pytest.mark.parametrize("mode", [GateMode.AUTO, GateMode.ALWAYS, GateMode.STRICT])
def test_the_passage_that_is_doubted_least_answers(
    built_store: Path, embedder: Any, mode: GateMode
) -> None:
    model = LookingGenerator()
    found = answered(built_store, embedder, model, AnswerRequest(LEAVE, mode))
    assert found.text == _ANSWER
    assert found.p_sufficient == pytest.approx(1 - _SURE)
    (citation,) = found.citations
    assert citation.document_id == "office/leave"
    assert len(found.passages) == 5
    assert len(model.prompts) == citation.passage  # those after it are not read
    assert all(shown.startswith("[1] ") and "\n\n[2]" not in shown for shown in model.prompts)
    assert found.usage.lm_calls >= len(model.prompts)
    assert found.usage.prompt_tokens >= sum(len(shown.split()) for shown in model.prompts)
    assert model.open_sessions == 0


def test_what_is_cited_is_the_passage_that_was_read(built_store: Path, embedder: Any) -> None:
    """Though another one says the same."""
    model = LookingGenerator()
    model.reply = "Northwind"
    found = answered(built_store, embedder, model, AnswerRequest(LEAVE, GateMode.ALWAYS))
    assert [citation.document_id for citation in found.citations] == ["office/leave"]


def test_a_marker_is_of_the_passage_that_was_read(built_store: Path, embedder: Any) -> None:
    """Which is the first one of its prompt, and another one of the answer's passages."""
    model = LookingGenerator()
    model.reply, model.holding = "alerts [1]", "15 minutes"
    found = answered(built_store, embedder, model, AnswerRequest(LEAVE, GateMode.ALWAYS))
    (citation,) = found.citations
    assert citation.passage > 1
    assert found.text == f"alerts [{citation.passage}]"
    assert "15 minutes" in found.passages[citation.passage - 1].text


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
def test_else_they_are_read_together(
    built_store: Path, embedder: Any, request_: AnswerRequest
) -> None:
    model = LookingGenerator()
    found = answered(built_store, embedder, model, request_)
    assert ("\n\n[2]" in model.prompts[-1]) is (len(found.passages) > 1)
    assert len(model.prompts) == request_.steps


def test_strict_withholds_what_no_passage_makes_sure(built_store: Path, embedder: Any) -> None:
    model = LookingGenerator(unsure=0.6)
    model.holding = "Michelangelo"
    request = AnswerRequest(LEAVE, GateMode.STRICT)
    found = answered(built_store, embedder, model, request)
    assert found.abstained
    assert found.p_sufficient == pytest.approx(0.4)
    assert model.open_sessions == 0


@pytest.mark.parametrize(("doubt", "together"), [(0.4, False), (0.6, True), (0.8, False)])
def test_where_none_holds_it_alone_all_are_read(
    built_store: Path, embedder: Any, doubt: float, together: bool
) -> None:
    model = LookingGenerator(unsure=doubt)
    model.holding = "Michelangelo"
    found = answered(built_store, embedder, model, AnswerRequest(LEAVE, GateMode.ALWAYS))
    assert len(model.prompts) == 5 + together
    assert ("\n\n[5]" in model.prompts[-1]) is together
    assert found.usage.lm_calls == 5 + together
    assert model.open_sessions == 0


def test_all_sessions_end_with_an_interrupted_one() -> None:
    def stop() -> None:
        raise Cancelled("gone")

    model = LookingGenerator()
    with pytest.raises(Cancelled):
        least_doubtful(sessions(model, ("a", "b", "c"), (never_stop, stop, never_stop)), Meter())
    assert model.open_sessions == 0


@pytest.mark.parametrize(
    ("doubts", "chosen", "read"),
    [
        ((0.05, 0.01), 0, 1),  # sure: the next is not read
        ((0.4, 0.05, 0.01), 1, 2),
        ((0.9, 0.2, 0.3), 1, 3),
        ((0.7, 0.7), 0, 2),
        ((None, 0.9), 1, 2),
    ],
)
def test_which_one_is_chosen(doubts: tuple[float | None, ...], chosen: int, read: int) -> None:
    model, meter = LookingGenerator(), Meter()
    model.doubts = dict(zip("abc", doubts, strict=False))
    place, session = least_doubtful(sessions(model, tuple(model.doubts)), meter)
    assert place == chosen
    assert model.open_sessions == 1
    assert meter.usage().lm_calls == read - 1  # the chosen one is counted when it has answered
    session.close()


def sessions(
    model: LookingGenerator, texts: Sequence[str], stops: Sequence[ShouldStop] = ()
) -> Iterator[Session]:
    for text, stop in zip(texts, stops or [never_stop] * len(texts), strict=True):
        yield model.begin([Message("user", text)], Sampling(), stop)
