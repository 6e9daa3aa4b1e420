"""``POST /v1/responses``, whole or as a stream of events; nothing is kept."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from expertrag.api.events import AnswerEvent, DeltaEvent, GateEvent
from expertrag.api.folding import AnswerFolder
from expertrag.api.types import Answer, FinishReason
from expertrag.serving.http.body import read_body
from expertrag.serving.http.openai.answering import Form, respond
from expertrag.serving.http.openai.responses_request import PARAMS, ResponsesRequest
from expertrag.serving.http.sse import event

_PLACE = {"output_index": 0, "content_index": 0}


async def responses(request: Request) -> Response:
    """Answer a conversation."""
    return await respond(request, await read_body(request, ResponsesRequest), _Form)


class _Form(Form):
    """A response, or its events."""

    params = PARAMS
    error_name = "error"

    def __init__(self, asked: ResponsesRequest, notices: Sequence[str], base_url: str) -> None:
        super().__init__(asked, notices, base_url)
        self._asked = asked
        self._numbers = count()

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Return a whole response."""
        marked = self._cite(answer)
        return self._finish(answer, _part(answer.text + marked.added, marked.annotations))

    async def events(self, events: AsyncGenerator[AnswerEvent]) -> AsyncGenerator[str]:
        """Yield the events of a stream."""
        folder, answer_id = AnswerFolder(), ""
        async with aclosing(events):
            async for each in events:
                folder.add(each)
                match each:
                    case GateEvent(decision):
                        answer_id = decision.id
                        for text in self._begin(answer_id):
                            yield text
                    case DeltaEvent(text):
                        yield self._delta(answer_id, text)
        answer = folder.answer()
        marked = self._cite(answer)
        if marked.added:
            yield self._delta(answer_id, marked.added)
        for place, annotation in enumerate(marked.annotations):
            body = {"annotation_index": place, "annotation": annotation}
            yield self._text_event("annotation.added", answer_id, **body)
        part = _part(answer.text + marked.added, marked.annotations)
        for text in self._end(answer, part):
            yield text

    def _begin(self, answer_id: str) -> list[str]:
        started = self._response(answer_id, "in_progress")
        item = _item(answer_id, "in_progress", [])
        return [
            self._event("created", response=started),
            self._event("in_progress", response=started),
            self._event("output_item.added", output_index=0, item=item),
            self._event("content_part.added", item_id=item["id"], part=_part("", []), **_PLACE),
        ]

    def _end(self, answer: Answer, part: dict[str, Any]) -> list[str]:
        done = self._finish(answer, part)
        item = done["output"][0]
        return [
            self._text_event("done", answer.id, text=part["text"], logprobs=[]),
            self._event("content_part.done", item_id=item["id"], part=part, **_PLACE),
            self._event("output_item.done", output_index=0, item=item),
            self._event(done["status"], response=done),
        ]

    def _delta(self, answer_id: str, text: str) -> str:
        return self._text_event("delta", answer_id, delta=text, logprobs=[])

    def _text_event(self, kind: str, answer_id: str, **body: Any) -> str:
        return self._event(f"output_text.{kind}", item_id=_item_id(answer_id), **_PLACE, **body)

    def _event(self, kind: str, **body: Any) -> str:
        name = f"response.{kind}"
        return event({"type": name, "sequence_number": next(self._numbers), **body}, name)

    def _finish(self, answer: Answer, part: dict[str, Any]) -> dict[str, Any]:
        cut = answer.finish_reason is FinishReason.LENGTH
        status = "incomplete" if cut else "completed"
        usage = answer.usage
        return {
            **self._response(answer.id, status),
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": [_item(answer.id, status, [part])],
            "usage": {
                "input_tokens": usage.prompt_tokens,
                "input_tokens_details": {"cached_tokens": usage.cached_prompt_tokens},
                "output_tokens": usage.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            },
            "expertrag": self._extension(answer),
        }

    def _response(self, answer_id: str, status: str) -> dict[str, Any]:
        asked = self._asked
        text = asked.text.model_dump(by_alias=True, exclude_none=True) if asked.text else None
        return {
            "id": f"resp_{answer_id}",
            "object": "response",
            "created_at": self._created,
            "completed_at": None if status == "in_progress" else int(time.time()),
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens,
            "metadata": {},
            "model": self._model,
            "output": [],
            "parallel_tool_calls": False,
            "previous_response_id": None,
            "reasoning": None,
            "service_tier": "default",
            "store": False,
            "temperature": asked.temperature or 0.0,
            "text": text or {"format": {"type": "text"}},
            "tool_choice": "none",
            "tools": [],
            "top_logprobs": 0,
            "top_p": 1.0 if asked.top_p is None else asked.top_p,
            "truncation": "disabled",
            "usage": None,
        }


def _item_id(answer_id: str) -> str:
    return f"msg_{answer_id}"


def _item(answer_id: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "message",
        "id": _item_id(answer_id),
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _part(text: str, annotations: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}
