"""Turn errors of an OpenAI-compatible server, or of the connection to it, into ExpertRAG errors."""

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
    """Turn an error of the ``openai`` package, from the server ``where``, into ours.

    The server's own message is passed on only where it helps and cannot contain the key.
    """
    if isinstance(error, ExpertRAGError):
        return error
    # While a stream runs, errors come from the HTTP package. It depends on openai's version (httpx
    # or httpx2), but the class names are the same in both.
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if isinstance(error, openai.APITimeoutError) or "TimeoutException" in kinds:
        return DeadlineExceeded(f"the model server {where} did not answer in time")
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, where)
    if isinstance(error, openai.APIConnectionError):
        return Unavailable(f"no model server at {where}; start it or correct the model's URL")
    if "TransportError" in kinds:
        return Unavailable(f"the model server {where} closed the connection; ask again")
    return ServerError(
        f"the model server {where} sent an invalid answer ({first_line(error)})",
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
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):  # absent, or a date
        return None
