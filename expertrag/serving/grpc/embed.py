"""EmbedService: embeddings of texts."""

from __future__ import annotations

from expertrag.serving.core.operations.searching import embed
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import embed_pb2
from expertrag.v1.embed_pb2_grpc import EmbedServiceServicer
from expertrag.wire.embed import embed_from_proto, embeddings_to_proto


class EmbedService(Servicer, EmbedServiceServicer):
    """Encodes texts with the server's embedder."""

    async def Embed(
        self, request: embed_pb2.EmbedRequest, context: Context
    ) -> embed_pb2.EmbedResponse:
        """Encode a batch."""
        texts = embed_from_proto(request)
        return await embed(self._runtime, call_of(request.collection), texts, embeddings_to_proto)
