"""Messages of ``conversation.proto``."""

from __future__ import annotations

from collections.abc import Iterable

from expertrag.api.turns import Turn, TurnRole
from expertrag.v1 import conversation_pb2
from expertrag.wire.common import EnumMap, fits_the_wire

ROLES = EnumMap(
    "history.role",
    {
        TurnRole.USER: conversation_pb2.TURN_ROLE_USER,
        TurnRole.ASSISTANT: conversation_pb2.TURN_ROLE_ASSISTANT,
    },
)


def history_to_proto(history: Iterable[Turn]) -> list[conversation_pb2.Turn]:
    """Return the messages."""
    with fits_the_wire():
        return [
            conversation_pb2.Turn(role=ROLES.to_proto(turn.role), text=turn.text)
            for turn in history
        ]


def history_from_proto(turns: Iterable[conversation_pb2.Turn]) -> tuple[Turn, ...]:
    """Return the values."""
    return tuple(Turn(ROLES.from_proto(turn.role), turn.text) for turn in turns)
