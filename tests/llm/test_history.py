"""The turns of a conversation in a closed-book prompt."""

from __future__ import annotations

from collections.abc import Sequence

from expertrag.api.turns import Turn
from expertrag.llm.base import Message
from expertrag.llm.history import HISTORY_TOKENS, in_conversation
from expertrag.llm.prompt import write_closed_book

TURNS = [Turn.user("What is WAL?"), Turn.assistant("A log."), Turn.user("Why?"), Turn.user("How?")]


def words(messages: Sequence[Message]) -> int:
    """Count words, and two tokens of a template for each message."""
    return sum(len(message.content.split()) + 2 for message in messages)


def test_turns_come_between_the_instructions_and_the_question() -> None:
    shown, dropped = in_conversation("thanks", TURNS, words, 1_000)
    assert dropped == 0
    assert [(message.role, message.content) for message in shown[1:]] == [
        ("user", "What is WAL?"),
        ("assistant", "A log."),
        ("user", "Why?\n\nHow?"),
        ("user", "thanks"),
    ]
    assert shown[0] == write_closed_book("thanks")[0]
    assert in_conversation("thanks", (), words, 1_000) == (write_closed_book("thanks"), 0)


def test_the_oldest_turns_are_dropped() -> None:
    turns = [turn for i in range(40) for turn in (Turn.user(f"a {i}"), Turn.assistant("b " * 50))]
    budget = 400
    shown, dropped = in_conversation("thanks", turns, words, budget)
    assert words(shown) <= budget
    assert 0 < dropped < len(turns)
    assert shown[1].role == "user", "a prompt begins with a turn of the user"
    assert shown[-3:-1] == [Message("user", "a 39"), Message("assistant", turns[-1].text)]
    assert len(shown) == len(turns) - dropped + 2


def test_a_conversation_takes_a_bounded_share_of_a_large_context() -> None:
    turns = [Turn.user("a " * 100), Turn.assistant("b " * 100)] * 20
    shown, _ = in_conversation("thanks", turns, words, 100_000)
    assert words(shown) < HISTORY_TOKENS + 100


def test_nothing_fits_a_small_context() -> None:
    long = [Turn.user("a " * 100), Turn.assistant("b " * 100)]
    assert in_conversation("thanks", long, words, 50) == (write_closed_book("thanks"), 2)
