"""The turns of a conversation that are in a closed-book prompt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from expertrag.api.turns import Turn, TurnRole
from expertrag.llm.base import Message
from expertrag.llm.prompt import TokenCounter, write_closed_book

HISTORY_TOKENS = 1_024
"""Most tokens of a conversation in a prompt: about 700 words, prefilled once and then cached."""


def in_conversation(
    question: str,
    history: Sequence[Turn],
    count: TokenCounter,
    budget_tokens: int,
    instructions: str = "",
) -> tuple[list[Message], int]:
    """Return the closed-book prompt with as much of the conversation as fits, the latest turns.

    It begins with a turn of the user, as the chat templates of some models require.

    :param budget_tokens: most tokens of the prompt.
    :param instructions: of the caller, added to the system turn.
    :returns: the prompt, and how many turns, from the oldest on, are not in it.
    """
    alone = write_closed_book(question, instructions)
    if not history:
        return alone, 0
    least_tokens = count(write_closed_book("."))
    left_tokens = min(HISTORY_TOKENS, budget_tokens - count(alone))
    begin = len(history)
    for place in range(len(history) - 1, -1, -1):
        left_tokens -= count(write_closed_book(history[place].text)) - least_tokens
        if left_tokens < 0:
            break
        if _asks(history[place]):
            begin = place
    # the marks between turns were not counted, so the sum is checked
    while begin < len(history) and count(_prompt(alone, history[begin:])) > budget_tokens:
        begin = next(
            (place for place in range(begin + 1, len(history)) if _asks(history[place])),
            len(history),
        )
    return _prompt(alone, history[begin:]), begin


def _prompt(alone: Sequence[Message], history: Sequence[Turn]) -> list[Message]:
    groups = groupby(history, key=_asks)
    turns = [_message(list(same)) for _, same in groups]
    return [alone[0], *turns, *alone[1:]]


def _asks(turn: Turn) -> bool:
    return turn.role == TurnRole.USER


def _message(turns: Sequence[Turn]) -> Message:
    """Return turns of one role as one message: chat templates want the roles to alternate."""
    text = "\n\n".join(turn.text for turn in turns)
    return Message("user" if _asks(turns[0]) else "assistant", text)
