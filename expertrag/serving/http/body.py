"""Read the body of a request, within bounds."""

from __future__ import annotations

import codecs
from functools import partial
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import ClientDisconnect, Request

from expertrag.api.errors import Cancelled, InvalidArgument, Overloaded
from expertrag.serving.core.inflight import InFlight
from expertrag.serving.http.errors import UNSUPPORTED_ENCODING, invalid_body
from expertrag.serving.http.state import HttpState

MAX_BODY_BYTES = 8 * 1024 * 1024

MAX_ITEMS = 10_000
_STEP_BYTES = 64 * 1024

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

Items = Annotated[list[T], Field(fail_fast=True, max_length=MAX_ITEMS)]
"""A list in a body. Its first wrong item is the only one that is reported: 8 MiB hold millions."""


async def read_body(request: Request, kind: type[M]) -> M:
    """Return the JSON body of a request.

    The content type must be JSON: a browser then asks before it sends a page's request to another
    site, and is refused.

    Raises as ``receive_body`` does.

    :raises InvalidArgument: it is not JSON, or not what ``kind`` describes.
    """
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent != "application/json":
        raise InvalidArgument(
            f"content-type: is {sent or 'unset'!r}; send application/json",
            reason="INVALID_CONTENT_TYPE",
            metadata={"field": "content-type"},
        )
    data = await receive_body(request, HttpState.of(request))
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        raise invalid_body(error) from None


async def receive_body(request: Request, shared: HttpState) -> bytes:
    """Return the body of a request, without a byte order mark, and hold its size until the end.

    Bodies of many callers are received in turn.

    :raises Unauthenticated: the caller may not call; nothing is received then.
    :raises InvalidArgument: the body is encoded.
    :raises Overloaded: it is too long, or the bodies of running requests are, together.
    """
    encoding = request.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise InvalidArgument(
            f"content-encoding: is {encoding!r:.100}; send the body without one, uncompressed",
            reason=UNSUPPORTED_ENCODING,
            metadata={"field": "content-encoding"},
        )
    caller = shared.caller(request)
    sender = caller.identity or (request.client.host if request.client else "")
    received = partial(_receive, request, shared.in_flight)
    data = await shared.in_flight.receive(sender, received)
    request.state.size = len(data)
    return data.removeprefix(codecs.BOM_UTF8)


async def _receive(request: Request, in_flight: InFlight) -> bytes:
    data, held = bytearray(), 0
    try:
        async for part in request.stream():
            data += part
            while held < len(data):  # until the request ends
                request.state.held.enter_context(in_flight.holding(_STEP_BYTES))
                held += _STEP_BYTES
            if len(data) > MAX_BODY_BYTES:
                limit = MAX_BODY_BYTES // 2**20
                raise Overloaded(
                    f"the body is over the limit of {limit} MiB; send less at a time",
                    reason="MESSAGE_TOO_LARGE",
                )
    except ClientDisconnect:
        raise Cancelled("the caller hung up") from None
    return bytes(data)
