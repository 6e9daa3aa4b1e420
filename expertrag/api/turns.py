"""Turns of a conversation. Importing this module loads only the standard library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

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


def latest(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """Return the latest turns that fit into a request."""
    size_bytes, begin = 0, len(turns)
    for place in range(len(turns) - 1, max(-1, len(turns) - 1 - MAX_TURNS), -1):
        size_bytes += len(turns[place].text.encode())
        if size_bytes > MAX_HISTORY_BYTES:
            break
        begin = place
    return tuple(turns[begin:])
