"""``POST /v1/chat/completions``, whole or as a stream of chunks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from expertrag.api.events import AnswerEvent, DeltaEvent, GateEvent, ProgressEvent
from expertrag.api.folding import AnswerFolder
from expertrag.api.jsonable import to_json
from expertrag.api.logprobs import TokenLogprob
from expertrag.api.types import Answer, FinishReason, Usage
from expertrag.serving.http.body import read_body
from expertrag.serving.http.openai.answering import Form, respond
from expertrag.serving.http.openai.chat_request import PARAMS, ChatRequest
from expertrag.serving.http.sse import event

DONE = "data: [DONE]\n\n"


async def chat(request: Request) -> Response:
    """Answer a conversation."""
    return await respond(request, await read_body(request, ChatRequest), _Form)


class _Form(Form):
    """A completion, or its chunks."""

    params = PARAMS

    def __init__(self, asked: ChatRequest, notices: Sequence[str], base_url: str) -> None:
        super().__init__(asked, notices, base_url)
        self._asked = asked

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return a whole response."""
        marked = self._cite(answer)
        choice = {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": answer.text + marked.added,
                "refusal": None,
                "annotations": _nest(marked.annotations),
            },
            "logprobs": self._logprobs(answer.logprobs),
            "finish_reason": _finish(answer),
        }
        return {
            **self._head("chat.completion", answer.id),
            "choices": [choice],
            "usage": usage_of(answer.usage),
            "expertrag": self._extension(answer),
        }

    async def events(self, events: AsyncGenerator[AnswerEvent]) -> AsyncGenerator[str]:
        """Yield the chunks of a stream: role, text, citations, the end, and usage if wanted."""
        folder, answer_id = AnswerFolder(), ""
        async with aclosing(events):
            async for each in events:
                folder.add(each)
                match each:
                    case GateEvent(decision):
                        answer_id = decision.id
                        begin = {"role": "assistant", "content": "", "refusal": None}
                        extra = {"decision": to_json(decision)}
                        yield self._chunk(answer_id, begin, expertrag=extra)
                    case ProgressEvent():
                        extra = {"progress": to_json(each)}
                        yield self._chunk(answer_id, {}, expertrag=extra)
                    case DeltaEvent(text, logprobs):
                        yield self._chunk(answer_id, {"content": text}, logprobs=logprobs)
        answer = folder.answer()
        marked = self._cite(answer)
        if marked.added or marked.annotations:
            annotations = _nest(marked.annotations)
            last = {"content": marked.added, "annotations": annotations}
            yield self._chunk(answer_id, last)
        extra = self._extension(answer)
        yield self._chunk(answer_id, {}, finish_reason=_finish(answer), expertrag=extra)
        if self._asked.with_usage:
            head = self._head("chat.completion.chunk", answer_id)
            yield event({**head, "choices": [], "usage": usage_of(answer.usage)})
        yield DONE

    def _chunk(
        self,
        answer_id: str,
        delta: dict[str, Any],
        *,
        finish_reason: str | None = None,
        logprobs: Sequence[TokenLogprob] = (),
        **extra: Any,
    ) -> str:
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": self._logprobs(logprobs) if logprobs else None,
            "finish_reason": finish_reason,
        }
        usage = {"usage": None} if self._asked.with_usage else {}
        head = self._head("chat.completion.chunk", answer_id)
        return event({**head, "choices": [choice], **usage, **extra})

    def _head(self, kind: str, answer_id: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{answer_id}",
            "object": kind,
            "created": self._created,
            "model": self._model,
        }

    def _logprobs(self, tokens: Sequence[TokenLogprob]) -> dict[str, Any] | None:
        if not self._asked.logprobs:
            return None
        return {"content": [_token(token) for token in tokens], "refusal": None}


def usage_of(usage: Usage) -> dict[str, Any]:
    """Return the tokens of an answer."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_prompt_tokens},
    }


def _finish(answer: Answer) -> str:
    return "length" if answer.finish_reason is FinishReason.LENGTH else "stop"


def _nest(annotations: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return annotations as chat completions have them: a responses' annotation is flat."""
    return [
        {
            "type": item["type"],
            item["type"]: {name: value for name, value in item.items() if name != "type"},
        }
        for item in annotations
    ]


def _token(token: TokenLogprob) -> dict[str, Any]:
    return {
        **_probability(token.text, token.logprob),
        "top_logprobs": [_probability(other.text, other.logprob) for other in token.top],
    }


def _probability(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
