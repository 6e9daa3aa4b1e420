"""What the audit log tells, for callers with the scope "admin"."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from expertrag.serving.http.body import read_body
from expertrag.serving.http.console.bodies import Counted, QuestionsWanted, Replayed
from expertrag.serving.http.console.replies import private
from expertrag.serving.http.state import HttpState


async def replay(request: Request) -> Response:
    """Replay the decisions of a collection under another threshold."""
    asked = await read_body(request, Replayed)
    decisions = HttpState.of(request).client(request, asked.collection).decisions
    return private(await decisions.replay(threshold=asked.threshold, target_rate=asked.target_rate))


async def questions(request: Request) -> Response:
    """List questions of the log to label."""
    asked = await read_body(request, QuestionsWanted)
    decisions = HttpState.of(request).client(request, asked.collection).decisions
    return private(await decisions.questions(limit=asked.limit))


async def experts(request: Request) -> Response:
    """Count the decisions by domain, expert and time."""
    asked = await read_body(request, Counted)
    decisions = HttpState.of(request).client(request, asked.collection).decisions
    return private(await decisions.experts(periods=asked.periods))
