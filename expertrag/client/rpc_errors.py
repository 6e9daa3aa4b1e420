"""Convert gRPC failures to the errors of ``expertrag.api.errors``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from expertrag.api.errors import (
    Cancelled,
    Conflict,
    DeadlineExceeded,
    ExpertRAGError,
    InvalidArgument,
    NotFound,
    Overloaded,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
)
from expertrag.client.channel import MAX_MESSAGE_BYTES

ERRORS: dict[str, type[ExpertRAGError]] = {
    "CANCELLED": Cancelled,
    "UNKNOWN": ExpertRAGError,
    "INVALID_ARGUMENT": InvalidArgument,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "NOT_FOUND": NotFound,
    "ALREADY_EXISTS": Conflict,
    "PERMISSION_DENIED": PermissionDenied,
    "UNAUTHENTICATED": Unauthenticated,
    "RESOURCE_EXHAUSTED": Overloaded,
    "FAILED_PRECONDITION": Conflict,
    "ABORTED": Conflict,
    "OUT_OF_RANGE": InvalidArgument,
    "UNIMPLEMENTED": Unimplemented,
    "INTERNAL": ServerError,
    "UNAVAILABLE": Unavailable,
    "DATA_LOSS": ServerError,
}

_TLS_FAILED = ("handshake failed", "CERTIFICATE", "certificate")
"""Signs of a failed handshake in gRPC's details; it names no status for it."""

_CANCELLED_HERE = ("Locally cancelled by application!", "Channel closed!")
"""gRPC's details of calls that the client itself cancelled."""


def translate_error(
    error: grpc.RpcError | grpc.aio.AioRpcError, address: str, timeout: float
) -> ExpertRAGError:
    """Return the error for a failed call to ``address``."""
    code, details, trailing = error.code(), error.details() or "", error.trailing_metadata()
    return from_rpc(code, details, trailing, address=address, timeout=timeout)


def from_rpc(
    code: grpc.StatusCode,
    details: str,
    trailing: Iterable[Any] | None,
    *,
    address: str,
    timeout: float,
) -> ExpertRAGError:
    """Return the error for a failed call.

    :param trailing: trailing metadata as key-value pairs, in any of gRPC's types.
    """
    metadata: dict[str, str | bytes] = dict(tuple(pair) for pair in trailing or ())
    request_id = str(metadata.get("x-request-id", ""))
    info, retry_after_s = _details(metadata.get("grpc-status-details-bin"))
    kind = ERRORS[code.name]
    if info is None and code is grpc.StatusCode.CANCELLED and details not in _CANCELLED_HERE:
        # a server that stops cancels the calls that it has not begun
        code, kind = grpc.StatusCode.UNAVAILABLE, Unavailable
    if info is None:  # from gRPC itself, not from an ExpertRAG server
        reason, message = _own_words(code, details, address, timeout)
        return kind(message, reason=reason, metadata={"grpc": details}, request_id=request_id)
    facts = dict(info.metadata)
    about: dict[str, Any] = {"request_id": facts.pop("request_id", request_id), "metadata": facts}
    if kind is Overloaded:
        about["retry_after_s"] = retry_after_s
    return kind(details, reason=info.reason, domain=info.domain, **about)


def _details(status: str | bytes | None) -> tuple[error_details_pb2.ErrorInfo | None, float | None]:
    """Return ErrorInfo and RetryInfo's delay in seconds, if the server sent them."""
    if not isinstance(status, bytes):
        return None, None
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    has_info = False
    retry_after_s = None
    try:
        for detail in status_pb2.Status.FromString(status).details:
            has_info = detail.Unpack(info) or has_info
            if detail.Unpack(retry):
                retry_after_s = retry.retry_delay.ToMilliseconds() / 1000
    except DecodeError:
        return None, None
    return (info if has_info else None), retry_after_s


def _own_words(
    code: grpc.StatusCode, details: str, address: str, timeout: float
) -> tuple[str, str]:
    """Return reason and message; gRPC's own texts are long and rarely helpful."""
    match code:
        case grpc.StatusCode.UNAVAILABLE if any(sign in details for sign in _TLS_FAILED):
            return "TLS_FAILED", (
                f"the TLS handshake with {address} failed: give the certificates that sign the "
                "server's (--ca, tls=Tls(ca)), and one of your own if it wants it"
            )
        case grpc.StatusCode.UNAVAILABLE if "Socket closed" in details:
            hint = "if it uses TLS, give --ca or tls=; else see its log"
            return "UNREACHABLE", f"the server at {address} closed the connection; {hint}"
        case grpc.StatusCode.UNAVAILABLE:
            hint = "start one with: expertrag serve --index STORE"
            return "UNREACHABLE", f"no server responds at {address}; {hint}"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "", f"not done within {timeout:.3g} s; allow more time (timeout)"
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            limit = MAX_MESSAGE_BYTES // 2**20
            return "MESSAGE_TOO_LARGE", f"a message is over the limit of {limit} MiB; split it"
        case grpc.StatusCode.UNIMPLEMENTED:
            return "", f"the server at {address} does not offer this call; upgrade it"
        case grpc.StatusCode.CANCELLED:
            return "", "the call was cancelled"
        case _:
            first = details.strip().splitlines()[0] if details.strip() else "no details"
            return "", f"the call to {address} failed with {code.name}: {first}"
