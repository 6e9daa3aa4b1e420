"""Prompts and packing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Passage
from expertrag.llm import prompt
from expertrag.llm.base import Message


def passage(text: str, score: float = 1.0, title: str = "") -> Passage:
    return Passage("d", 0, text, 0, len(text), score, title=title)


def count(messages: Sequence[Message]) -> int:
    """One token per word and two more per message, as for a chat template."""
    return sum(len(message.content.split()) + 2 for message in messages)


def test_closed_book_ends_with_the_question() -> None:
    messages = prompt.write_closed_book("Who wrote Emma?")
    assert [message.role for message in messages] == ["system", "user"]
    assert messages[-1].content == "Who wrote Emma?"


def test_open_book_numbers_the_passages_and_keeps_their_text() -> None:
    passages = [passage("Jane Austen wrote it.", title="Emma"), passage("No title here.")]
    content = prompt.open_book("Who wrote Emma?", passages)[-1].content
    assert "[1] Emma\nJane Austen wrote it." in content
    assert "[2]\nNo title here." in content
    assert content.endswith("Who wrote Emma?")


@pytest.mark.parametrize("family", prompt.FAMILIES.values())
def test_strict_is_the_longer_prompt(family: prompt.Family) -> None:
    """``pack`` counts the strict form, so the other one always fits too."""
    strict, free = (
        prompt.open_book("q", (), strict=strict, family=family) for strict in (True, False)
    )
    assert count(strict) >= count(free)


@pytest.mark.parametrize(
    ("question", "beginning"),
    [
        ("Who wrote Emma?", "Short answer:"),
        ("How many legs does a spider have?", "Short answer:"),
        ("how long is the notice period", "Short answer:"),
        ("What does VACUUM do?", "Short answer:"),
        ("Howard who?", "Short answer:"),
        ("How do I create a partial index?", "Answer:"),
        ("how can I list files?", "Answer:"),
        ("  Why is the sky blue?", "Answer:"),
        ('"Explain" MVCC.', "Answer:"),
        ("", "Short answer:"),
    ],
)
def test_the_turn_of_a_chat_model_is_begun(question: str, beginning: str) -> None:
    begun = prompt.open_book(question, (), family=prompt.INSTRUCT)
    assert begun[-1] == Message("assistant", beginning)
    alone = prompt.open_book(question, (), family=prompt.INSTRUCT, begun=False)
    assert alone == begun[:-1]
    assert prompt.open_book(question, ())[-1].role == "user"


@pytest.mark.parametrize(
    ("text", "answer", "cited"),
    [
        ("1999 [3]", "1999", (3,)),
        ("1999 [3].", "1999", (3,)),
        ("1999. [3]", "1999.", (3,)),
        ("1999 [3][1]", "1999", (3, 1)),
        ("1999 [3], [1].", "1999", (3, 1)),
        ("In [3] it is 1999.", "In [3] it is 1999.", ()),
        ("1999 [3]\n\n[4] Title", "1999", (3,)),
    ],
)
def test_replies_are_parsed(text: str, answer: str, cited: tuple[int, ...]) -> None:
    assert prompt.Reply.of(text) == prompt.Reply(answer, cited)


def test_doubt_is_scaled_in_log_odds() -> None:
    """Log odds of .8 are log 4: half of that, and log 2 more, is log 4 again."""
    assert prompt.Doubt(0.5, math.log(2)).calibrate(0.8) == pytest.approx(0.8)
    assert prompt.Doubt(0.5, math.log(2)).raw(0.8) == pytest.approx(0.8)
    assert prompt.Doubt(2.0, -1.0).raw(prompt.Doubt(2.0, -1.0).calibrate(0.3)) == pytest.approx(0.3)
    assert prompt.UNSCALED.calibrate(0.5) == 0.5
    assert 0.0 < prompt.UNSCALED.calibrate(0.0) < prompt.UNSCALED.calibrate(1.0) < 1.0


def test_passages_that_fit_keep_their_order() -> None:
    """Scores of several searches cannot be compared."""
    low, high = passage("a b c", score=0.1), passage("d e f", score=0.9)
    packed = prompt.pack("q", [low, high], count, budget_tokens=10_000)
    assert packed.kept == (low, high)
    assert packed.dropped == ()


def test_the_worst_passages_are_dropped_whole() -> None:
    passages = [passage("word " * 50, score=1 - rank / 10) for rank in range(5)]
    budget = count(prompt.open_book("q", passages[:2], strict=True))
    for tokens, kept in ((budget, 2), (budget - 1, 1)):
        packed = prompt.pack("q", passages, count, tokens)
        assert packed == prompt.Packed(tuple(passages[:kept]), tuple(passages[kept:]))


def test_parts_that_add_up_to_less_than_the_whole_still_fit() -> None:
    """A tokenizer may need more for the joined text than for its parts."""

    def superadditive(messages: Sequence[Message]) -> int:
        return count(messages) + messages[-1].content.count("[") ** 3

    passages = [passage("word " * 20, score=1 - rank / 10) for rank in range(6)]
    packed = prompt.pack("q", passages, superadditive, budget_tokens=170)
    assert packed.kept
    assert packed.dropped
    assert superadditive(prompt.open_book("q", packed.kept, strict=True)) <= 170


def test_no_passage_fits() -> None:
    with pytest.raises(InvalidArgument, match="shorten the question") as caught:
        prompt.pack("q", [passage("word " * 100)], count, budget_tokens=60)
    assert caught.value.reason == "CONTEXT_TOO_SMALL"
    assert "\n" not in str(caught.value)


def test_nothing_to_pack() -> None:
    assert prompt.pack("q", [], count, budget_tokens=5) == prompt.Packed((), ())


def test_instructions_are_added_to_the_system_turn() -> None:
    roses = [passage("Roses are red.")]
    for plain, instructed in (
        (prompt.write_closed_book("Why?"), prompt.write_closed_book("Why?", "Answer in verse.")),
        (
            prompt.open_book("Why?", roses),
            prompt.open_book("Why?", roses, instructions="Answer in verse."),
        ),
    ):
        assert instructed[0].content == f"{plain[0].content}\n\nAnswer in verse."
        assert instructed[1:] == plain[1:]


def test_instructions_take_the_place_of_passages() -> None:
    passages = [passage("word " * 20)] * 5
    plain = prompt.pack("Why?", passages, count, 110)
    packed = prompt.pack("Why?", passages, count, 110, instructions="word " * 40)
    assert 1 <= len(packed.kept) < len(plain.kept)
    with pytest.raises(InvalidArgument, match="shorten the question or the instructions"):
        prompt.pack("Why?", passages, count, 110, instructions="word " * 100)
