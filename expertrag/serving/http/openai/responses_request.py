"""The request of ``POST /v1/responses``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from expertrag.serving.http.body import Items
from expertrag.serving.http.openai.conversation import ContentPart, OpenAIMessage, conversation_of
from expertrag.serving.http.openai.formats import TextFormat, constraint_of
from expertrag.serving.http.openai.model_names import NamedModel
from expertrag.serving.http.openai.options import Int32, Question, Sampled
from expertrag.serving.http.openai.unserved import RESPONSES

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
    """An item of the input: a message, or another type, which has no text."""

    type: str = "message"
    role: str = "user"
    content: str | Items[ContentPart] | None = None


class TextOptions(BaseModel):
    """The form of the text."""

    format: TextFormat | None = None


class ResponsesRequest(Sampled):
    """A conversation, and how to answer its last message."""

    unserved = RESPONSES

    input: str | Items[Item]
    instructions: str | None = None
    max_output_tokens: Int32 | None = None
    text: TextOptions | None = None

    @property
    def form(self) -> TextFormat | None:
        """The form of the text; None for any."""
        return self.text.format if self.text else None

    def question(self) -> Question:
        """Return the question: the last item, after the conversation of those before it."""
        notices = self.check_extra()
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
        if self.expertrag:
            options |= self.expertrag.options()
        return Question(asked.question, options, (*notices, *asked.notices))

    def _messages(self) -> list[OpenAIMessage]:
        if isinstance(self.input, str):
            return [OpenAIMessage(role="user", content=self.input)]
        return [
            OpenAIMessage(role=item.role, content=item.content)
            if item.type == "message"
            else OpenAIMessage(role=item.type)
            for item in self.input
        ]
