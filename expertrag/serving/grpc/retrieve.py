"""RetrieveService: search without an answer."""

from __future__ import annotations

from expertrag.api.types import RetrieveRequest
from expertrag.serving.core.operations.searching import retrieve
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import retrieve_pb2
from expertrag.v1.retrieve_pb2_grpc import RetrieveServiceServicer
from expertrag.wire.common import message_of, value_of


class RetrieveService(Servicer, RetrieveServiceServicer):
    """Searches the document store."""

    async def Retrieve(
        self, request: retrieve_pb2.RetrieveRequest, context: Context
    ) -> retrieve_pb2.RetrieveResponse:
        """Return the best passages."""
        query = value_of(RetrieveRequest, request)
        result = await retrieve(self._runtime, call_of(request.collection), query)
        return message_of(retrieve_pb2.RetrieveResponse, result)
