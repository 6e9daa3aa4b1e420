"""InfoService: versions and limits; available before the models are loaded."""

from __future__ import annotations

from expertrag.serving.core.operations.info import describe
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import info_pb2
from expertrag.v1.info_pb2_grpc import InfoServiceServicer
from expertrag.wire.common import message_of


class InfoService(Servicer, InfoServiceServicer):
    """Describes the server's versions, models and limits."""

    async def Info(self, request: info_pb2.InfoRequest, context: Context) -> info_pb2.InfoResponse:
        """Describe the server; while it loads, only its version and limits."""
        described = await describe(self._runtime, call_of(request.collection))
        return message_of(info_pb2.InfoResponse, described)
