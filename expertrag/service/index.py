"""IndexService: change and describe the document store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError

from expertrag.api.errors import Cancelled, DeadlineExceeded, PermissionDenied
from expertrag.api.types import DocumentInput, UpdateReport
from expertrag.runtime.stop import Stop
from expertrag.service.runtime import Servicer
from expertrag.service.workers import CallKind, Context
from expertrag.v1 import index_pb2
from expertrag.v1.index_pb2_grpc import IndexServiceServicer
from expertrag.wire.index import (
    delete_to_proto,
    document_from_proto,
    stats_to_proto,
    upsert_to_proto,
)

END_OR_CANCEL_S = 0.05
"""gRPC ends the request stream of a cancelled call like that of a complete one, and reports the
cancel a moment later. Without this wait, 252 of 300 aborted uploads were partly published."""


class IndexService(Servicer, IndexServiceServicer):
    """Writes one generation per call; off unless ``allow_writes``."""

    async def Upsert(
        self, request_iterator: AsyncIterator[index_pb2.UpsertRequest], context: Context
    ) -> index_pb2.UpsertResponse:
        """Add or replace the documents of a stream."""
        self._check_writable()
        pipeline = self._runtime.pipeline
        loop = asyncio.get_running_loop()
        idle_s = self._runtime.config.upload_idle_s

        def work(stop: Stop) -> UpdateReport:
            return pipeline.upsert(_pulled(request_iterator, loop, stop, idle_s))

        report = await self._runtime.workers.run(CallKind.WRITE, context, work)
        await self._observe(context)
        return upsert_to_proto(report)

    async def Delete(
        self, request: index_pb2.DeleteRequest, context: Context
    ) -> index_pb2.DeleteResponse:
        """Delete documents by id."""
        self._check_writable()
        pipeline = self._runtime.pipeline
        ids = list(request.ids)
        report = await self._runtime.workers.run(
            CallKind.WRITE, context, lambda stop: pipeline.delete(ids)
        )
        await self._observe(context)
        return delete_to_proto(report)

    async def Stats(
        self, request: index_pb2.StatsRequest, context: Context
    ) -> index_pb2.StatsResponse:
        """Describe the served generation."""
        pipeline = self._runtime.pipeline
        stats = await self._runtime.workers.run(
            CallKind.READ, context, lambda stop: pipeline.stats()
        )
        return index_pb2.StatsResponse(stats=stats_to_proto(stats))

    def _check_writable(self) -> None:
        if not self._runtime.config.allow_writes:
            raise PermissionDenied(
                "this server does not accept writes; start it with --allow-writes",
                reason="WRITES_DISABLED",
            )

    async def _observe(self, context: Context) -> None:
        pipeline = self._runtime.pipeline
        stats = await self._runtime.workers.run(
            CallKind.READ, context, lambda stop: pipeline.stats()
        )
        self._runtime.metrics.observe_index(stats)


def _pulled(
    requests: AsyncIterator[index_pb2.UpsertRequest],
    loop: asyncio.AbstractEventLoop,
    stop: Stop,
    idle_s: float,
) -> Iterator[DocumentInput]:
    """Yield documents in a worker thread, reading each from the stream on demand.

    This makes a fast sender wait for the embedder. A sender that is idle for ``idle_s`` keeps other
    writers waiting, so its call fails. Any error aborts the write before it is published.
    """

    async def read() -> index_pb2.UpsertRequest | None:
        request = await anext(requests, None)
        if request is None:
            await asyncio.sleep(END_OR_CANCEL_S)
        return request

    while True:
        stop()
        future = asyncio.run_coroutine_threadsafe(read(), loop)
        try:
            request = future.result(min(idle_s, stop.remaining() or idle_s))
        except TimeoutError:
            future.cancel()
            stop()
            raise DeadlineExceeded(
                f"no document came for {idle_s:g} s; nothing was changed: send the documents of a "
                "call without pauses",
                reason="UPLOAD_IDLE",
            ) from None
        except CancelledError:
            raise Cancelled("the sender cancelled; nothing was changed") from None
        if request is None:
            stop()
            return
        yield document_from_proto(request)
