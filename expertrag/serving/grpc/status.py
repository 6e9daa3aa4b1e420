"""Errors as gRPC statuses: canonical code, ``google.rpc`` details and trailing metadata."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from expertrag.api.errors import ExpertRAGError, Overloaded
from expertrag.serving.core.context import REQUEST_ID_KEY
from expertrag.serving.core.messages import cut, message_of

DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"

_VALUE_BYTES = 200
"""gRPC refuses trailing metadata of more than 8 KiB."""

Metadata = tuple[tuple[str, str | bytes], ...]


def status_of(error: ExpertRAGError, request_id: str) -> tuple[grpc.StatusCode, Metadata]:
    """Return the status code and the trailing metadata that carry an error to the client."""
    code = grpc.StatusCode[error.code]
    status = status_pb2.Status(code=code.value[0], message=message_of(error))
    for detail in _details(error, request_id):
        status.details.add().Pack(detail)
    trailing: list[tuple[str, str | bytes]] = [
        (REQUEST_ID_KEY, request_id),
        (DETAILS_KEY, status.SerializeToString()),
    ]
    if isinstance(error, Overloaded) and error.retry_after_s is not None:
        trailing.append((PUSHBACK_KEY, str(round(error.retry_after_s * 1000))))
    return code, tuple(trailing)


def _details(error: ExpertRAGError, request_id: str) -> list[Message]:
    details: list[Message] = [
        error_details_pb2.ErrorInfo(
            reason=error.reason,
            domain=error.domain,
            metadata={
                **{key: cut(value, _VALUE_BYTES) for key, value in error.metadata.items()},
                "request_id": request_id,
            },
        )
    ]
    if "field" in error.metadata:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=cut(error.metadata["field"], _VALUE_BYTES), description=message_of(error)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if "quota" in error.metadata:
        exceeded = error_details_pb2.QuotaFailure.Violation(
            subject=error.metadata["caller"], description=message_of(error)
        )
        details.append(error_details_pb2.QuotaFailure(violations=[exceeded]))
    if isinstance(error, Overloaded) and error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(retry)
    return details
