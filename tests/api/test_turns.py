"""Turns of a conversation and their limits."""

from __future__ import annotations

from typing import Any

import pytest

from expertrag.api.errors import InvalidArgument
from expertrag.api.turns import MAX_HISTORY_BYTES, MAX_TURNS, Turn, TurnRole, latest
from expertrag.api.types import AnswerRequest, RetrieveRequest
from expertrag.api.validation import check_answer, check_retrieve


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ((Turn.user("x"),) * (MAX_TURNS + 1), "has 201 turns"),
        ((Turn.user("é" * MAX_HISTORY_BYTES),), "has 524,288 bytes"),
        ((Turn.user("x" * 200_000), Turn.assistant("x" * 100_000)), "leave out its oldest turns"),
        ((Turn.user(" "),), "is empty"),
        ((Turn("system", "x"),), "has the role 'system'"),  # type: ignore[arg-type]
        (({"role": "user", "text": "x"},), "holds a dict"),
    ],
)
def test_bad_histories_are_named(history: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        check_answer(AnswerRequest("x", history=history))
    assert caught.value.metadata["field"] == "history"
    with pytest.raises(InvalidArgument, match=message):
        check_retrieve(RetrieveRequest("x", history=history))


def test_the_latest_turns_fit() -> None:
    many = [Turn.user(str(number)) for number in range(MAX_TURNS + 50)]
    assert [turn.text for turn in latest(many)] == [str(number) for number in range(50, 250)]
    large = [Turn(TurnRole.ASSISTANT, "x" * 100_000) for _ in range(5)]
    assert len(latest(large)) == 2
    check_answer(AnswerRequest("x", history=latest(large)))
    assert latest([]) == ()
