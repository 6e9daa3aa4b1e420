"""Server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from starlette.responses import StreamingResponse

from expertrag.api.errors import ExpertRAGError
from expertrag.serving.http.errors import Params, body_of, log_unexpected

_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


def event(data: dict[str, Any], name: str = "") -> str:
    """Return an event as text.

    It is ASCII: some clients take further signs for the end of a line, such as U+2028.
    """
    text = json.dumps(data, separators=(",", ":"))
    return f"event: {name}\ndata: {text}\n\n" if name else f"data: {text}\n\n"


async def stream_of(
    events: AsyncGenerator[str],
    request_id: str,
    params: Params | None = None,
    error_name: str = "",
) -> StreamingResponse:
    """Return a response that sends events as they come.

    The first one is awaited here, so that what fails at once has an HTTP status of its own.
    A later error is sent as an event, the last one. Who hangs up closes the iterator.

    :param request_id: of the request, for the log.
    :param params: names of our fields in the request.
    :param error_name: name of the event of an error.
    """
    first = await anext(events)

    async def send() -> AsyncIterator[str]:
        async with aclosing(events):
            yield first
            try:
                async for each in events:
                    yield each
            except ExpertRAGError as error:
                yield event(body_of(error, params), error_name)
            except Exception as error:
                yield event(body_of(log_unexpected(error, request_id)), error_name)

    return StreamingResponse(send(), media_type="text/event-stream", headers=_HEADERS)
