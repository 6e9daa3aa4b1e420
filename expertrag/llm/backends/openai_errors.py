"""Turn errors of an OpenAI-compatible server, or of the connection to it, into ExpertRAG errors."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from email.utils import mktime_tz, parsedate_tz

import openai

from expertrag.api.errors import (
    DeadlineExceeded,
    ExpertRAGError,
    InvalidArgument,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
)
from expertrag.llm.load.loading import first_line

API_KEY = "EXPERTRAG_OPENAI_API_KEY"

_TRANSIENT = (429, 502, 503, 504)


def translate(error: Exception, where: str) -> ExpertRAGError:
    """Turn an error of the ``openai`` package, from the server ``where``, into ours.

    The server's own message is passed on only where it helps and cannot contain the key.
    """
    if isinstance(error, ExpertRAGError):
        return error
    if isinstance(error, EOFError):
        return ServerError(
            f"the model server {where} ended its answer midway; ask again",
            reason="MODEL_SERVER_INVALID",
        )
    kinds = _kinds(error)
    if _is_timeout(error) and "ConnectTimeout" not in kinds:
        return DeadlineExceeded(f"the model server {where} did not answer in time")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, where)
    if kinds & {"ConnectError", "ConnectTimeout"}:
        return Unavailable(f"no model server at {where}; start it or correct the model's URL")
    if isinstance(error, openai.APIConnectionError) or "TransportError" in kinds:
        return Unavailable(f"the model server {where} closed the connection; ask again")
    return ServerError(
        f"the model server {where} sent an invalid answer ({first_line(error)})",
        reason="MODEL_SERVER_INVALID",
    )


def is_transient(error: Exception) -> bool:
    """Return whether another server of the same model may answer what failed with this error.

    True if the server did not get the request, was lost, or said that it has no capacity. False if
    it failed at the request or took too long, as another one also might.
    """
    if isinstance(error, openai.APIStatusError):
        return error.status_code in _TRANSIENT
    if _is_timeout(error):
        return "ConnectTimeout" in _kinds(error)
    lost = isinstance(error, (openai.APIConnectionError, EOFError))
    return lost or "TransportError" in _kinds(error)


def _kinds(error: BaseException) -> set[str]:
    """Return the names of the classes of an error and of its cause.

    Errors that come while a stream runs, and the causes of others, come from the HTTP package. It
    depends on openai's version (httpx or httpx2), but the class names are the same in both.
    """
    chain = [error, *([error.__cause__] if error.__cause__ else [])]
    return {kind.__name__ for one in chain for kind in type(one).__mro__}


def _is_timeout(error: Exception) -> bool:
    named = {kind.__name__ for kind in type(error).__mro__}
    return isinstance(error, (openai.APITimeoutError, TimeoutError)) or "TimeoutException" in named


def _of_status(error: openai.APIStatusError, where: str) -> ExpertRAGError:
    status = error.status_code
    if status == 429:
        return Overloaded(
            f"the model server {where} is at its limit; ask again later",
            retry_after_s=_retry_after_s(error.response.headers),
        )
    said = first_line(error)
    makers: dict[int, Callable[[], ExpertRAGError]] = {
        401: lambda: Unauthenticated(f"the model server {where} needs a valid key; set {API_KEY}"),
        403: lambda: PermissionDenied(f"the key in {API_KEY} may not use the model at {where}"),
        404: lambda: NotFound(f"the model server {where} does not know this model ({said})"),
        408: lambda: DeadlineExceeded(f"the model server {where} did not answer in time"),
    }
    if status in makers:
        return makers[status]()
    if status < 500:
        return InvalidArgument(f"rejected by the model server {where} ({said})")
    return Unavailable(f"the model server {where} failed with status {status}; ask again later")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of a Retry-After header, which holds them or a date; None without one."""
    said = headers.get("retry-after", "")
    date = parsedate_tz(said)
    try:
        seconds = mktime_tz(date) - time.time() if date else float(said)
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
