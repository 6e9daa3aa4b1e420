"""IndexService: change and describe the document store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from expertrag.api.types import DocumentInput
from expertrag.serving.core.operations.store import delete, stats, upsert
from expertrag.serving.core.upload import SentDocument
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import index_pb2
from expertrag.v1.index_pb2_grpc import IndexServiceServicer
from expertrag.wire.common import message_of, value_of
from expertrag.wire.index import delete_to_proto, upsert_to_proto

END_OR_CANCEL_S = 0.05
"""gRPC reports the cancel of a call a moment after the end of its request stream. The stream of a
cancelled call ends like the stream of a complete one. Without this wait, 252 of 300 aborted uploads
were partly published.
"""


class IndexService(Servicer, IndexServiceServicer):
    """Writes one generation per call; off unless ``allow_writes``."""

    async def Upsert(
        self, request_iterator: AsyncIterator[index_pb2.UpsertRequest], context: Context
    ) -> index_pb2.UpsertResponse:
        """Add or replace the documents of a stream."""
        report = await upsert(self._runtime, call_of(), _documents(request_iterator))
        return upsert_to_proto(report)

    async def Delete(
        self, request: index_pb2.DeleteRequest, context: Context
    ) -> index_pb2.DeleteResponse:
        """Delete documents by id."""
        call, ids = call_of(request.collection), list(request.ids)
        return delete_to_proto(await delete(self._runtime, call, ids, request.idempotency_key))

    async def Stats(
        self, request: index_pb2.StatsRequest, context: Context
    ) -> index_pb2.StatsResponse:
        """Describe the served generation."""
        described = await stats(self._runtime, call_of(request.collection))
        return index_pb2.StatsResponse(stats=message_of(index_pb2.IndexStats, described))


async def _documents(
    requests: AsyncIterator[index_pb2.UpsertRequest],
) -> AsyncIterator[SentDocument]:
    async for request in requests:
        yield SentDocument(
            read=partial(value_of, DocumentInput, request.document),
            content=partial(request.document.SerializeToString, deterministic=True),
            size=request.ByteSize(),
            collection=request.collection,
            key=request.idempotency_key,
        )
    await asyncio.sleep(END_OR_CANCEL_S)
