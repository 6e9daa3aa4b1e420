"""Errors of the public API, identical over gRPC and in process.

    ExpertRAGError                 UNKNOWN
    ├── InvalidArgument            INVALID_ARGUMENT, OUT_OF_RANGE
    ├── NotFound                   NOT_FOUND
    ├── Conflict                   ALREADY_EXISTS, ABORTED, FAILED_PRECONDITION
    ├── Unauthenticated            UNAUTHENTICATED
    ├── PermissionDenied           PERMISSION_DENIED
    ├── Overloaded                 RESOURCE_EXHAUSTED (``retry_after_s`` says when to retry)
    ├── DeadlineExceeded           DEADLINE_EXCEEDED
    ├── Cancelled                  CANCELLED
    ├── Unavailable                UNAVAILABLE
    ├── Unimplemented              UNIMPLEMENTED
    ├── ServerError                INTERNAL, DATA_LOSS
    └── MissingExtra               UNIMPLEMENTED (an optional part is not installed)

Every error has ``code`` (the gRPC status name), ``reason`` (UPPER_SNAKE, stable), ``domain``,
``metadata`` and ``request_id``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

DOMAIN = "expertrag"


class ExpertRAGError(Exception):
    """Base class of every error that the SDK and the pipeline raise."""

    code: ClassVar[str] = "UNKNOWN"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        domain: str = DOMAIN,
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).code
        self.domain = domain
        self.metadata = dict(metadata or {})
        self.request_id = request_id


class InvalidArgument(ExpertRAGError):
    """The request is invalid; the message names the field."""

    code = "INVALID_ARGUMENT"


class NotFound(ExpertRAGError):
    """A store, document or model does not exist."""

    code = "NOT_FOUND"


class Conflict(ExpertRAGError):
    """The state does not allow it: another writer, another embedder, a newer format."""

    code = "FAILED_PRECONDITION"


class Unauthenticated(ExpertRAGError):
    """The token is missing or wrong."""

    code = "UNAUTHENTICATED"


class PermissionDenied(ExpertRAGError):
    """The token does not allow this call."""

    code = "PERMISSION_DENIED"


class Overloaded(ExpertRAGError):
    """The server is at its limit, or the message is too large."""

    code = "RESOURCE_EXHAUSTED"

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, **details: object
    ) -> None:
        super().__init__(message, **details)  # type: ignore[arg-type]
        self.retry_after_s = retry_after_s


class DeadlineExceeded(ExpertRAGError):
    """The deadline passed."""

    code = "DEADLINE_EXCEEDED"


class Cancelled(ExpertRAGError):
    """The caller cancelled the call."""

    code = "CANCELLED"


class Unavailable(ExpertRAGError):
    """No server responds, or it is shutting down; safe to retry."""

    code = "UNAVAILABLE"


class Unimplemented(ExpertRAGError):
    """The server does not offer this call."""

    code = "UNIMPLEMENTED"


class ServerError(ExpertRAGError):
    """A bug or damaged data; the server's log has the cause under the request id."""

    code = "INTERNAL"


class MissingExtra(ExpertRAGError):
    """An optional part is not installed; the message has the command that installs it."""

    code = "UNIMPLEMENTED"
