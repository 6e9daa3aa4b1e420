"""RerankService: scores of texts for a query."""

from __future__ import annotations

from expertrag.serving.core.runtime import Servicer
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import rerank_pb2
from expertrag.v1.rerank_pb2_grpc import RerankServiceServicer
from expertrag.wire.rerank import ranks_to_proto, rerank_from_proto


class RerankService(Servicer, RerankServiceServicer):
    """Scores texts with the server's reranker."""

    async def Rerank(
        self, request: rerank_pb2.RerankRequest, context: Context
    ) -> rerank_pb2.RerankResponse:
        """Rank a batch of texts."""
        texts = rerank_from_proto(request)
        result = await self._runtime.run(
            CallKind.RERANK, context, "", lambda pipeline, stop: pipeline.rerank(texts, stop)
        )
        return ranks_to_proto(result)
