"""IndexService: change and describe the document store."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace

from expertrag.answer.collections import DEFAULT
from expertrag.api.errors import Conflict, PermissionDenied
from expertrag.api.types import IndexStats
from expertrag.auth import Caller
from expertrag.serving.core.call import CALL
from expertrag.serving.core.idempotency import KeyScope
from expertrag.serving.core.runtime import Servicer, key_of
from expertrag.serving.core.upload import Upload
from expertrag.serving.core.workers import CallKind, Context
from expertrag.serving.grpc.status import without_paths
from expertrag.v1 import index_pb2
from expertrag.v1.index_pb2_grpc import IndexServiceServicer
from expertrag.wire.index import delete_to_proto, stats_to_proto, upsert_to_proto


class IndexService(Servicer, IndexServiceServicer):
    """Writes one generation per call; off unless ``allow_writes``."""

    async def Upsert(
        self, request_iterator: AsyncIterator[index_pb2.UpsertRequest], context: Context
    ) -> index_pb2.UpsertResponse:
        """Add or replace the documents of a stream."""
        caller = CALL.get().caller
        self._check_writable()
        upload = Upload(
            request_iterator,
            self._runtime.config.upload_idle_s,
            lambda: self._charge(caller, 1),
        )
        collection, key = await upload.begin()
        self._check_copy(collection)

        async def write() -> index_pb2.UpsertResponse:
            report = await self._runtime.run(
                CallKind.WRITE,
                context,
                collection,
                lambda pipeline, stop: pipeline.upsert(upload.documents(stop)),
            )
            await self._observe(collection, context)
            return upsert_to_proto(report)

        scope = self._scope("Upsert", collection)
        return await self._runtime.responses.once(scope, key, write, upload.digest)

    async def Delete(
        self, request: index_pb2.DeleteRequest, context: Context
    ) -> index_pb2.DeleteResponse:
        """Delete documents by id."""
        self._check_writable()
        self._check_copy(request.collection)
        ids = list(request.ids)
        self._charge(CALL.get().caller, len(ids))

        async def write() -> index_pb2.DeleteResponse:
            report = await self._runtime.run(
                CallKind.WRITE,
                context,
                request.collection,
                lambda pipeline, stop: pipeline.delete(ids),
            )
            await self._observe(request.collection, context)
            return delete_to_proto(report)

        async def digest() -> bytes:
            named = index_pb2.DeleteRequest(ids=ids).SerializeToString()
            return hashlib.sha256(named).digest()

        scope = self._scope("Delete", request.collection)
        return await self._runtime.responses.once(scope, request.idempotency_key, write, digest)

    async def Stats(
        self, request: index_pb2.StatsRequest, context: Context
    ) -> index_pb2.StatsResponse:
        """Describe the served generation."""
        stats = await self._stats(request.collection, context)
        shown = replace(stats, degraded=without_paths(stats.degraded))
        return index_pb2.StatsResponse(stats=stats_to_proto(shown))

    @property
    def _followed(self) -> str:
        """URL whose copy is served; empty for none."""
        return self._runtime.replication.followed if self._runtime.replication else ""

    def _check_copy(self, collection: str) -> None:
        """Check that a collection is not a copy, which takes no writes.

        :raises Conflict: it is.
        """
        if self._followed and key_of(collection, CALL.get().caller) == DEFAULT:
            raise _is_copy(self._followed)

    def _check_writable(self) -> None:
        if self._runtime.config.allow_writes:
            return
        if self._followed:
            raise _is_copy(self._followed)
        raise PermissionDenied(
            "this server does not accept writes; start it with --allow-writes",
            reason="WRITES_DISABLED",
        )

    def _scope(self, method: str, collection: str) -> KeyScope:
        caller = CALL.get().caller
        return KeyScope(key_of(collection, caller), method, caller.id)

    def _charge(self, caller: Caller, documents: int) -> None:
        """Charge documents to a caller.

        :raises Overloaded: it has used up its quota.
        """
        quotas = self._runtime.quotas
        quotas.check(caller, "documents")
        quotas.charge(caller, "documents", documents)

    async def _observe(self, collection: str, context: Context) -> None:
        if key_of(collection, CALL.get().caller) == DEFAULT:
            self._runtime.metrics.observe_index(await self._stats(collection, context))

    async def _stats(self, collection: str, context: Context) -> IndexStats:
        return await self._runtime.run(
            CallKind.READ, context, collection, lambda pipeline, stop: pipeline.stats()
        )


def _is_copy(url: str) -> Conflict:
    return Conflict(
        f"this server serves a copy of the store that is pushed to {without_paths(url)}: write to "
        "the server that pushes there (serve --push)",
        reason="READ_ONLY_REPLICA",
    )
