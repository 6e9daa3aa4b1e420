"""Messages of a request as a question, its history, and instructions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from expertrag.api.errors import InvalidArgument
from expertrag.api.turns import Turn, latest
from expertrag.http.body import Items

_TEXTS = ("text", "input_text", "output_text")


class Part(BaseModel):
    """A part of a message."""

    type: str
    text: str | None = None


class Message(BaseModel):
    """A message of a conversation."""

    role: str
    content: str | Items[Part] | None = None
    tool_calls: list[object] | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The last message of the user, the turns before it, and what the system messages say."""

    question: str
    history: tuple[Turn, ...] = ()
    instructions: str = ""


def conversation_of(messages: Sequence[Message], field: str) -> Conversation:
    """Return the conversation of a request; turns beyond its limits are left out, oldest first.

    :param field: name of the messages in the request, for errors.
    :raises InvalidArgument: they do not end with the user's, or hold more than text.
    """
    instructions: list[str] = []
    turns: list[Turn] = []
    for message in messages:
        text = _text(message, field)
        match message.role:
            case "system" | "developer":
                instructions.append(text)
            case "user":
                turns.append(Turn.user(text))
            case "assistant":
                turns.append(Turn.assistant(text))
            case _:
                raise unsupported(field, f"has a message of the role {message.role!r:.40}; ")
    if not turns or messages[-1].role != "user":
        raise unsupported(
            field, "does not end with a message of the user; ", "end with the question"
        )
    earlier = [turn for turn in turns[:-1] if turn.text.strip()]
    return Conversation(turns[-1].text, latest(earlier), "\n\n".join(filter(None, instructions)))


def _text(message: Message, field: str) -> str:
    if message.tool_calls:
        raise unsupported(field, "has calls of tools; ")
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    for part in message.content:
        if part.type not in _TEXTS:
            raise unsupported(field, f"has a part of the type {part.type!r:.40}; ")
    return "".join(part.text or "" for part in message.content)


def unsupported(
    field: str, what: str, cure: str = "send texts of system, user and assistant"
) -> InvalidArgument:
    """Return the error for a message that is not supported."""
    return InvalidArgument(
        f"{field}: {what}{cure}", reason="UNSUPPORTED_MESSAGE", metadata={"field": field}
    )
