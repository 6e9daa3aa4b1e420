"""Messages of a request as a question, its history, and instructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from expertrag.api.errors import InvalidArgument
from expertrag.api.turns import Turn, latest
from expertrag.serving.http.body import Items

_TEXTS = ("text", "input_text", "output_text")
_MOST_SHOWN = 5
_ATTACHED = ("file", "input_file", "input_audio")
"""Parts that a question is usually about."""


class ContentPart(BaseModel):
    """A part of a message."""

    type: str
    text: str | None = None


class OpenAIMessage(BaseModel):
    """A message of a conversation."""

    role: str
    content: str | Items[ContentPart] | None = None
    tool_calls: list[object] | None = None

    @property
    def text(self) -> str:
        """The text of the message."""
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "".join(part.text or "" for part in self.content if part.type in _TEXTS)

    @property
    def others(self) -> Iterator[str]:
        """The types of the parts that have no text, and of its tool calls."""
        if isinstance(self.content, list):
            yield from (part.type for part in self.content if part.type not in _TEXTS)
        if self.tool_calls:
            yield "tool_calls"


@dataclass(frozen=True, slots=True)
class Conversation:
    """The last message of the user, the turns before it, and what the system messages say."""

    question: str
    history: tuple[Turn, ...] = ()
    instructions: str = ""
    notices: tuple[str, ...] = ()


def conversation_of(messages: Sequence[OpenAIMessage], field: str) -> Conversation:
    """Return the conversation of a request.

    Turns beyond its limits are left out, oldest first. Tool calls, their results, images and other
    parts without text are left out, with a notice.

    :param field: name of the messages in the request, for errors.
    :raises InvalidArgument: they do not end with a text of the user, or with a file.
    """
    _check_question(messages, field)
    instructions: list[str] = []
    turns: list[Turn] = []
    ignored: dict[str, None] = {}
    for message in messages:
        ignored |= dict.fromkeys(message.others)
        match message.role:
            case "system" | "developer":
                instructions.append(message.text)
            case "user":
                turns.append(Turn.user(message.text))
            case "assistant":
                turns.append(Turn.assistant(message.text))
            case other:
                ignored[other] = None
    earlier = [turn for turn in turns[:-1] if turn.text.strip()]
    return Conversation(
        turns[-1].text,
        latest(earlier),
        "\n\n".join(filter(None, instructions)),
        _notices(list(ignored), field),
    )


def _check_question(messages: Sequence[OpenAIMessage], field: str) -> None:
    if not messages or messages[-1].role != "user":
        raise _message_error(
            field, "does not end with a message of the user", "end with a question"
        )
    others = list(messages[-1].others)
    if not messages[-1].text.strip() and others:
        raise _message_error(
            field, f"ends with {others[0]!r:.40} alone", "add the question as text"
        )
    if attached := [kind for kind in others if kind in _ATTACHED]:
        raise _message_error(
            field, f"ends with {attached[0]!r}", "add files to the collection, and ask about them"
        )


def _notices(ignored: Sequence[str], field: str) -> tuple[str, ...]:
    if not ignored:
        return ()
    shown = ", ".join(f"{kind:.40}" for kind in ignored[:_MOST_SHOWN])
    more = ", …" if len(ignored) > _MOST_SHOWN else ""
    return (f"{field}: only texts are read; ignored: {shown}{more}",)


def _message_error(field: str, what: str, cure: str) -> InvalidArgument:
    return InvalidArgument(
        f"{field}: {what}; {cure}", reason="UNSUPPORTED_MESSAGE", metadata={"field": field}
    )
