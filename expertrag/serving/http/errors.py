"""Errors as HTTP statuses, with bodies and headers that OpenAI's clients understand."""

from __future__ import annotations

import math
from collections.abc import Mapping

import structlog
from pydantic import ValidationError
from starlette.responses import JSONResponse
from starlette.types import Scope

from expertrag.api.errors import ExpertRAGError, InvalidArgument, Overloaded, ServerError
from expertrag.api.validation import invalid
from expertrag.serving.core.messages import message_of

Params = Mapping[str, str]
"""Names of our fields in a request of the API that was called."""

_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "CANCELLED": 503,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
UNSUPPORTED_ENCODING = "UNSUPPORTED_ENCODING"
_BY_REASON = {"MESSAGE_TOO_LARGE": 413, UNSUPPORTED_ENCODING: 415}
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
}
_RETRY_S = 1.0
_log = structlog.get_logger("expertrag.http")
_MOST_ERRORS = 100


def status_of(error: ExpertRAGError) -> int:
    """Return the HTTP status of an error."""
    return _BY_REASON.get(error.reason) or _STATUSES.get(error.code, 500)


def body_of(error: ExpertRAGError, params: Params | None = None) -> dict[str, object]:
    """Return the body of an error: ``{"error": {message, type, param, code}}``."""
    status = status_of(error)
    client_side = "invalid_request_error" if status < 500 else "server_error"
    field, message = error.metadata.get("field"), message_of(error)
    param = field and (params or {}).get(field, field)
    if param and message.startswith(f"{field}: "):
        message = f"{param}{message.removeprefix(field or '')}"
    return {
        "error": {
            "message": message,
            "type": _TYPES.get(status, client_side),
            "param": param,
            "code": "invalid_api_key" if status == 401 else error.reason.lower(),
        }
    }


def response_of(error: ExpertRAGError, scope: Scope, params: Params | None = None) -> JSONResponse:
    """Return the response for an error, and note its reason for the log.

    :param scope: of the request.
    """
    scope.setdefault("state", {})["reason"] = error.reason
    status = status_of(error)
    headers = {"x-should-retry": "true" if status in (429, 503) else "false"}
    if status in (429, 503):
        known = error.retry_after_s if isinstance(error, Overloaded) else None
        wait_s = _RETRY_S if known is None else known
        headers["retry-after"] = str(math.ceil(wait_s))
        headers["retry-after-ms"] = str(math.ceil(1000 * wait_s))
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status == 415:
        headers["accept-encoding"] = "identity"
    return JSONResponse(body_of(error, params), status, headers)


def log_unexpected(error: Exception, request_id: str) -> ServerError:
    """Log an error that nobody foresaw; return one that gives the caller only the request's id."""
    _log.error("unexpected error", request_id=request_id, exc_info=error)
    message = f"the server failed; its log has the cause under request id {request_id}"
    return ServerError(message, reason="INTERNAL")


def invalid_body(error: ValidationError) -> InvalidArgument:
    """Return the error for a body that lacks a field, or has one of the wrong type."""
    if error.error_count() > _MOST_ERRORS:  # a list of them would take seconds
        count = error.error_count()
        return invalid("body", f"has {count:,} errors, such as unknown fields; see the API")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"] if not _is_branch(part)) or "body"
    return invalid(field, first["msg"])


def _is_branch(part: int | str) -> bool:
    """Whether a part of a location names a branch of a union, such as ``list[TextPart]``."""
    return isinstance(part, str) and (part in ("str", "int", "float", "bool") or "[" in part)
