"""Questions of the console: answers as they are made, decisions, searches, feedback."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response

from expertrag.api.events import (
    AnswerEvent,
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    ProgressEvent,
    TableEvent,
    UsageEvent,
)
from expertrag.api.jsonable import to_json
from expertrag.serving.http.body import read_body
from expertrag.serving.http.console.bodies import Asked, QuestionBody, Rated, Searched
from expertrag.serving.http.console.replies import private
from expertrag.serving.http.hangup import unless_hung_up
from expertrag.serving.http.sse import event, stream_of
from expertrag.serving.http.state import HttpState


async def answer(request: Request) -> Response:
    """Answer a question as events, each of which is named as the API names it, or error."""
    asked = await read_body(request, Asked)
    shared = HttpState.of(request)
    client = shared.client(request, asked.collection)
    events = client.stream(asked.question, timeout=shared.answer_s, **asked.options())
    opened = stream_of(_name_events(events), request.state.request_id, error_name="error")
    return await unless_hung_up(request, opened)


async def decide(request: Request) -> Response:
    """Return the gate's decision on a question."""
    asked = await read_body(request, QuestionBody)
    client = HttpState.of(request).client(request, asked.collection)
    return private(
        await client.decide(
            asked.question, mode=asked.mode, threshold=asked.threshold, history=asked.turns()
        )
    )


async def retrieve(request: Request) -> Response:
    """Return the passages that a search finds."""
    asked = await read_body(request, Searched)
    client = HttpState.of(request).client(request, asked.collection)
    return private(
        await client.retrieve(asked.query, k=asked.k, filter=asked.filter, mode=asked.mode)
    )


async def feedback(request: Request) -> Response:
    """Store feedback on an answer."""
    rated = await read_body(request, Rated)
    client = HttpState.of(request).client(request, rated.collection)
    await client.feedback(
        rated.answer_id,
        helpful=rated.helpful,
        correct_answer=rated.correct_answer,
        query=rated.query,
    )
    return private({"stored": True})


async def _name_events(events: AsyncGenerator[AnswerEvent]) -> AsyncGenerator[str]:
    async with aclosing(events):
        async for each in events:
            yield _text(each)


def _text(each: AnswerEvent) -> str:
    match each:
        case GateEvent(decision):
            return event(to_json(decision), "gate")
        case ProgressEvent():
            return event(to_json(each), "progress")
        case PassagesEvent():
            return event(to_json(each), "passages")
        case TableEvent():
            return event(to_json(each), "table")
        case DeltaEvent(text):
            return event({"text": text}, "delta")
        case CitationEvent(citation):
            return event(to_json(citation), "citation")
        case UsageEvent(usage):
            return event(to_json(usage), "usage")
        case DoneEvent():
            return event(to_json(each), "done")
