"""Turns of a conversation. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from expertrag.api.errors import InvalidArgument

__all__ = ["Turn", "TurnRole"]

MAX_TURNS = 200
"""Turns of a conversation in a request."""
MAX_HISTORY_BYTES = 256 * 1024
"""Bytes of all their texts, in UTF-8."""


class TurnRole(StrEnum):
    """Who wrote a turn."""

    USER = "user"
    ASSISTANT = "assistant"


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier message of a conversation."""

    role: TurnRole
    text: str

    @classmethod
    def user(cls, text: str) -> Turn:
        """Return a turn of the user."""
        return cls(TurnRole.USER, text)

    @classmethod
    def assistant(cls, text: str) -> Turn:
        """Return a turn of the assistant."""
        return cls(TurnRole.ASSISTANT, text)


History = Iterable[Turn | Mapping[str, str]]
"""The conversation so far, oldest first: turns, or ``{"role": "user", "content": "..."}``; the text
may also be called ``text``."""


def turns_of(history: History | None) -> tuple[Turn, ...]:
    """Return the turns of a conversation.

    :raises InvalidArgument: an item is not a turn; shows one.
    """
    if history is None:
        return ()
    if isinstance(history, str | bytes | Mapping) or not isinstance(history, Iterable):
        raise _not_turns(f"is a {type(history).__name__}, not a list of turns")
    return tuple(_turn(number, item) for number, item in enumerate(history))


def _turn(number: int, item: object) -> Turn:
    if isinstance(item, Turn):
        return item
    if isinstance(item, Mapping):
        text, role = item.get("content", item.get("text")), item.get("role")
        if isinstance(text, str) and role in tuple(TurnRole):
            return Turn(TurnRole(role), text)
    raise _not_turns(f"has an item {number} that is not a turn")


def _not_turns(why: str) -> InvalidArgument:
    return InvalidArgument(
        f'history: {why}; give {{"role": "user", "content": "What is WAL?"}} or '
        'Turn.user("What is WAL?"), with the role user or assistant',
        metadata={"field": "history"},
    )


def latest(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the latest turns that fit into a request."""
    size_bytes, begin = 0, len(turns)
    for index in range(len(turns) - 1, max(-1, len(turns) - 1 - MAX_TURNS), -1):
        size_bytes += len(turns[index].text.encode())
        if size_bytes > MAX_HISTORY_BYTES:
            break
        begin = index
    return tuple(turns[begin:])
