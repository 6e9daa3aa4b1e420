"""RerankService: scores of texts for a query."""

from __future__ import annotations

from expertrag.api.rerank import RerankRequest
from expertrag.serving.core.operations.searching import rerank
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import rerank_pb2
from expertrag.v1.rerank_pb2_grpc import RerankServiceServicer
from expertrag.wire.common import message_of, value_of


class RerankService(Servicer, RerankServiceServicer):
    """Scores texts with the server's reranker."""

    async def Rerank(
        self, request: rerank_pb2.RerankRequest, context: Context
    ) -> rerank_pb2.RerankResponse:
        """Rank a batch of texts."""
        result = await rerank(self._runtime, call_of(), value_of(RerankRequest, request))
        return message_of(rerank_pb2.RerankResponse, result)
