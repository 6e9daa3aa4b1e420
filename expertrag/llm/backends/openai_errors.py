"""What an OpenAI-compatible server or the way to it may raise, as ExpertRAG errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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


def translate(error: Exception, where: str) -> ExpertRAGError:
    """Turn an error of the ``openai`` package, met at server ``where``, into ours.

    The server's own words are passed on only where they help and cannot hold the key.
    """
    if isinstance(error, ExpertRAGError):
        return error
    # Once a stream runs, the errors are those of the HTTP package, which openai has changed
    # (httpx, httpx2); the class names are the same in both.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, openai.APITimeoutError) or "TimeoutException" in kinds:
        return DeadlineExceeded(f"the model server {where} did not answer in time")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, where)
    if isinstance(error, openai.APIConnectionError):
        return Unavailable(f"no model server at {where}; start it or correct the model's URL")
    if "TransportError" in kinds:
        return Unavailable(f"the model server {where} broke the connection; ask again")
    return ServerError(
        f"the model server {where} sent what is no valid answer ({first_line(error)})",
        reason="MODEL_SERVER_INVALID",
    )


def _of_status(error: openai.APIStatusError, where: str) -> ExpertRAGError:
    status = error.status_code
    if status == 429:
        return Overloaded(
            f"the model server {where} is at its limit; ask again later",
            retry_after_s=_retry_after_s(error.response.headers),
        )
    said = first_line(error)
    makers: dict[int, Callable[[], ExpertRAGError]] = {
        401: lambda: Unauthenticated(f"the model server {where} wants a valid key; set {API_KEY}"),
        403: lambda: PermissionDenied(f"the key in {API_KEY} may not use the model at {where}"),
        404: lambda: NotFound(f"the model server {where} does not know this model ({said})"),
        408: lambda: DeadlineExceeded(f"the model server {where} did not answer in time"),
    }
    if status in makers:
        return makers[status]()
    if status < 500:
        return InvalidArgument(f"refused by the model server {where} ({said})")
    return Unavailable(f"the model server {where} failed with status {status}; ask again later")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):  # absent, or a date
        return None
