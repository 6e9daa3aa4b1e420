"""The request of ``POST /v1/responses``; fields that it does not name are ignored."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from expertrag.http.body import Items
from expertrag.http.openai.conversation import Message, Part, conversation_of, unsupported
from expertrag.http.openai.formats import TextFormat, constraint_of
from expertrag.http.openai.model_names import NamedModel
from expertrag.http.openai.options import Int32, Sampled, refuse

PARAMS = {
    "question": "input",
    "history": "input",
    "max_tokens": "max_output_tokens",
    "constraint": "text.format",
    "constraint.json_schema": "text.format",
    "collection": "model",
    "adapter": "model",
}
"""Names of our fields in the request."""


class Item(BaseModel):
    """An item of the input: a message."""

    type: str = "message"
    role: str = "user"
    content: str | Items[Part] | None = None


class TextOptions(BaseModel):
    """The form of the text."""

    format: TextFormat | None = None


class ResponsesRequest(Sampled):
    """A conversation, and how to answer its last message."""

    input: str | Items[Item]
    instructions: str | None = None
    max_output_tokens: Int32 | None = None
    text: TextOptions | None = None
    previous_response_id: str | None = None
    conversation: object = None
    background: bool | None = None

    @property
    def form(self) -> TextFormat | None:
        """The form of the text; None for any."""
        return self.text.format if self.text else None

    def question(self) -> tuple[str, dict[str, Any]]:
        """Return the question and its options, of the last item and those before it."""
        self._check()
        asked = conversation_of(self._messages(), "input")
        options: dict[str, Any] = {
            "mode": NamedModel.of(self.model).mode,
            "adapter": NamedModel.of(self.model).adapter,
            "history": asked.history,
            "instructions": "\n\n".join(filter(None, (self.instructions, asked.instructions))),
            "constraint": constraint_of(self.form, "text.format"),
            **self.sampling(None),
        }
        if self.max_output_tokens is not None:
            options["max_tokens"] = self.max_output_tokens
        return asked.question, options | (self.expertrag.options() if self.expertrag else {})

    def _messages(self) -> list[Message]:
        if isinstance(self.input, str):
            return [Message(role="user", content=self.input)]
        for item in self.input:
            if item.type != "message":
                raise unsupported("input", f"has an item of the type {item.type!r:.40}; ")
        return [Message(role=item.role, content=item.content) for item in self.input]

    def _check(self) -> None:
        self.check_sampled()
        refuse("background", bool(self.background), "is not supported; leave it out")
        kept = "responses are not kept; send the whole conversation as input"
        refuse("previous_response_id", self.previous_response_id is not None, kept)
        refuse("conversation", self.conversation is not None, kept)
