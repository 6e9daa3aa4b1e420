"""InfoService: versions and limits; available before the models are loaded."""

from __future__ import annotations

from dataclasses import replace

from expertrag._version import __version__
from expertrag.api import validation
from expertrag.serving.core.runtime import Servicer
from expertrag.serving.core.workers import CallKind, Context
from expertrag.serving.grpc.status import without_paths
from expertrag.v1 import info_pb2
from expertrag.v1.info_pb2_grpc import InfoServiceServicer
from expertrag.wire.index import info_to_proto, replica_to_proto


class InfoService(Servicer, InfoServiceServicer):
    """Describes the server's versions, models and limits."""

    async def Info(self, request: info_pb2.InfoRequest, context: Context) -> info_pb2.InfoResponse:
        """Describe the server; while it loads, only its version and limits."""
        replica = self._runtime.replication.status() if self._runtime.replication else None
        if self._runtime.loaded is None:
            return info_pb2.InfoResponse(
                version=__version__,
                max_query_bytes=validation.MAX_QUERY_BYTES,
                max_k=validation.MAX_K,
                replica=replica_to_proto(replica),
            )
        info = await self._runtime.run(
            CallKind.READ, context, request.collection, lambda pipeline, stop: pipeline.info()
        )
        index = info.index and replace(info.index, degraded=without_paths(info.index.degraded))
        failing = (f"replica: {replica.problem}",) if replica and replica.problem else ()
        problems = (*map(without_paths, info.problems), *failing)
        return info_to_proto(replace(info, index=index, problems=problems, replica=replica))
