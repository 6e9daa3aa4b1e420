"""EmbedService: embeddings of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from expertrag.runtime.stop import Stop
from expertrag.serving.core.runtime import Servicer
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import embed_pb2
from expertrag.v1.embed_pb2_grpc import EmbedServiceServicer
from expertrag.wire.embed import embed_from_proto, embeddings_to_proto

if TYPE_CHECKING:
    from expertrag.answer.pipeline import Pipeline


class EmbedService(Servicer, EmbedServiceServicer):
    """Encodes texts with the server's embedder."""

    async def Embed(
        self, request: embed_pb2.EmbedRequest, context: Context
    ) -> embed_pb2.EmbedResponse:
        """Encode a batch."""
        ask = embed_from_proto(request)

        def work(pipeline: Pipeline, stop: Stop) -> embed_pb2.EmbedResponse:
            found = pipeline.embed(ask.texts, role=ask.role, domain=ask.domain, should_stop=stop)
            return embeddings_to_proto(found)

        return await self._runtime.run(CallKind.EMBED, context, request.collection, work)
