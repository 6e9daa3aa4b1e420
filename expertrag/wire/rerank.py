"""Messages of ``rerank.proto``."""

from __future__ import annotations

from expertrag.api.rerank import Rank, RerankRequest, RerankResult
from expertrag.v1 import rerank_pb2
from expertrag.wire.common import fits_the_wire, message_of, value_of


def rerank_to_proto(request: RerankRequest) -> rerank_pb2.RerankRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(rerank_pb2.RerankRequest, request)


def rerank_from_proto(request: rerank_pb2.RerankRequest) -> RerankRequest:
    """Return the value."""
    return value_of(RerankRequest, request)


def ranks_to_proto(result: RerankResult) -> rerank_pb2.RerankResponse:
    """Return the response."""
    ranks = [message_of(rerank_pb2.Rank, item) for item in result.ranks]
    return message_of(rerank_pb2.RerankResponse, result, ranks=ranks)


def ranks_from_proto(response: rerank_pb2.RerankResponse) -> RerankResult:
    """Return the value."""
    ranks = tuple(value_of(Rank, item) for item in response.ranks)
    return value_of(RerankResult, response, ranks=ranks)
