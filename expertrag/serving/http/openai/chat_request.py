"""The request of ``POST /v1/chat/completions``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from expertrag.api.validation import MAX_LOGPROBS
from expertrag.serving.http.body import Items
from expertrag.serving.http.openai.conversation import OpenAIMessage, conversation_of
from expertrag.serving.http.openai.formats import TextFormat, constraint_of
from expertrag.serving.http.openai.model_names import NamedModel
from expertrag.serving.http.openai.options import Int32, Int64, Question, Sampled
from expertrag.serving.http.openai.unserved import CHAT

PARAMS = {
    "question": "messages",
    "history": "messages",
    "instructions": "messages",
    "constraint": "response_format",
    "constraint.json_schema": "response_format",
    "collection": "model",
    "adapter": "model",
}
"""Names of our fields in the request."""


class StreamOptions(BaseModel):
    """What a stream ends with."""

    include_usage: bool | None = None


class ChatRequest(Sampled):
    """A conversation, and how to answer its last message."""

    unserved = CHAT

    messages: Items[OpenAIMessage] = Field(min_length=1)
    stream_options: StreamOptions | None = None
    max_tokens: Int32 | None = None
    max_completion_tokens: Int32 | None = Field(None, ge=1)
    seed: Int64 | None = None
    stop: str | Items[str] | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MAX_LOGPROBS)
    response_format: TextFormat | None = None

    @property
    def with_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def form(self) -> TextFormat | None:
        """The form of the text; None for any."""
        return self.response_format

    def question(self) -> Question:
        """Return the question: the last message, after the conversation of those before it."""
        notices = self.check_extra()
        asked = conversation_of(self.messages, "messages")
        options: dict[str, Any] = {
            "mode": NamedModel.of(self.model).mode,
            "adapter": NamedModel.of(self.model).adapter,
            "history": asked.history,
            "instructions": asked.instructions,
            "stop": self.stop or (),
            "constraint": constraint_of(self.response_format, "response_format"),
            "frequency_penalty": self.frequency_penalty,
            **self.sampling(self.seed),
        }
        if (most := self.max_completion_tokens or self.max_tokens) is not None:
            options["max_tokens"] = most
        if self.logprobs:
            options["logprobs"] = self.top_logprobs or 0
        if self.expertrag:
            options |= self.expertrag.options()
        return Question(asked.question, options, (*notices, *asked.notices))
