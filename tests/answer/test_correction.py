"""Answers that give a former value, and are corrected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import pytest
from serving_fixtures import DoubtingGenerator

from expertrag.answer.correction import correct_former_value
from expertrag.answer.portions import PassageSession, read_again
from expertrag.api.errors import Cancelled
from expertrag.api.events import DeltaEvent
from expertrag.api.types import Passage, Sampling
from expertrag.llm import prompt
from expertrag.llm.base import Message, Session, never_stop
from expertrag.runtime.meter import Meter

VANS = "How many vans does the depot get?"
CHANGED = "The depot gets 6 vans instead of 9."


class ObstinateGenerator(DoubtingGenerator):
    """Gives the former value until it is asked again."""

    def reply_to(self, messages: Sequence[Message]) -> str:
        if len(messages) > 2:
            return "6 vans."
        return super().reply_to(messages)


def reading_of(model: DoubtingGenerator, text: str) -> PassageSession:
    passages = [Passage("minutes", 0, text, 0, len(text), 1.0)]
    session = model.begin(
        prompt.open_book(VANS, passages), Sampling(), never_stop, from_passages=True
    )
    return PassageSession.of(session, passages)


def answer_of(
    model: DoubtingGenerator, text: str, question: str = VANS
) -> tuple[str, PassageSession, list[str]]:
    reading, asked, meter = reading_of(model, text), [], Meter()

    def ask_again(answer: str, sentence: str, tokens: int) -> Session:
        asked.append(f"{answer} {sentence}")
        assert tokens > 0
        messages = prompt.open_book(VANS, reading.passages, family=prompt.INSTRUCT)
        return model.begin(prompt.correction(messages, answer, sentence), Sampling(), never_stop)

    again = correct_former_value(reading, question, ask_again, meter)
    with closing(again.session):
        said = "".join(delta.text for delta in again.deltas)
    assert meter.usage().lm_calls == len(asked)
    assert model.open_sessions == 0
    return said, again, asked


def test_a_former_value_is_corrected() -> None:
    said, reading, asked = answer_of(ObstinateGenerator("9 vans.", 0.05), CHANGED)
    assert said == "6 vans."
    assert asked == [f"9 vans. {CHANGED}"]
    assert reading.doubt == 0.05  # of the passages, not of the correction
    assert reading.p_sufficient == pytest.approx(0.95)
    assert (
        read_again(
            replace(reading, begin=_fail, passages=[*reading.passages] * 2), said, Meter()
        ).agreement
        == 1.0
    )


def test_a_value_of_an_earlier_passage_is_corrected() -> None:
    model, asked = ObstinateGenerator("9 vans.", 0.05), []
    earlier = Passage("2023.txt", 0, "The depot gets 9 vans.", 0, 22, 1.0)
    later = Passage("2024.txt", 0, "Six is too few. The depot gets 8 vans.", 0, 38, 1.0)
    reading = replace(reading_of(model, earlier.text), shown=[later, earlier])

    def ask_again(answer: str, sentence: str, tokens: int) -> Session:
        asked.append((answer, sentence))
        messages = prompt.open_book(VANS, reading.passages, family=prompt.INSTRUCT)
        return model.begin(prompt.correction(messages, answer, sentence), Sampling(), never_stop)

    again = correct_former_value(reading, VANS, ask_again, Meter(), [(earlier, later)])
    again.session.close()
    assert asked == [("9 vans.", "The depot gets 8 vans.")]
    unchanged = correct_former_value(
        replace(reading_of(model, earlier.text), shown=[earlier]), VANS, ask_again, Meter(), []
    )
    unchanged.session.close()
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("reply", "text", "question"),
    [
        ("6 vans.", CHANGED, VANS),
        ("9 vans.", "The depot gets 9 vans.", VANS),
        ("9 vans.", CHANGED, "Why does the depot get fewer vans?"),
        ("9 vans. " * 39 + "9 vans.", CHANGED, VANS),  # too long to be held
    ],
)
def test_other_answers_are_given_as_they_are(reply: str, text: str, question: str) -> None:
    said, reading, asked = answer_of(ObstinateGenerator(reply, 0.05), text, question)
    assert said == reply
    assert reading.corrected is None
    assert not asked


@pytest.mark.parametrize(("text", "taken"), [("The depot gets 9 vans.", 0), (CHANGED, 2)])
def test_only_answers_that_may_be_former_are_held(text: str, taken: int) -> None:
    """All others are streamed piece by piece."""
    pieces = _Pieces("6 ", "vans.")
    reading = replace(reading_of(DoubtingGenerator("", 0.05), text), deltas=pieces)
    with closing(reading.session):
        again = correct_former_value(reading, VANS, lambda *_: reading.session, Meter())
        assert pieces.taken == taken
        assert "".join(delta.text for delta in again.deltas) == "6 vans."


def test_a_failure_closes_the_session() -> None:
    model = ObstinateGenerator("9 vans.", 0.05)

    def cancel(*_: object) -> Session:
        raise Cancelled("gone")

    with pytest.raises(Cancelled):
        correct_former_value(reading_of(model, CHANGED), VANS, cancel, Meter())
    assert model.open_sessions == 0


def _fail(_shown: Sequence[Passage]) -> Session:
    raise AssertionError("a corrected answer is not compared")


class _Pieces(Iterator[DeltaEvent]):
    """Pieces of a text; ``taken`` counts those that were read."""

    def __init__(self, *texts: str) -> None:
        self._texts = iter(texts)
        self.taken = 0

    def __next__(self) -> DeltaEvent:
        text = next(self._texts)
        self.taken += 1
        return DeltaEvent(text)
