"""AdapterService: load, unload and list adapters of the language model."""

from __future__ import annotations

from pathlib import Path

from expertrag.api.validation import invalid
from expertrag.serving.core.runtime import Servicer
from expertrag.serving.core.workers import CallKind, Context
from expertrag.v1 import adapter_pb2
from expertrag.v1.adapter_pb2_grpc import AdapterServiceServicer
from expertrag.wire.adapters import adapter_to_proto


class AdapterService(Servicer, AdapterServiceServicer):
    """Manages the adapters, which all collections share."""

    async def LoadAdapter(
        self, request: adapter_pb2.LoadAdapterRequest, context: Context
    ) -> adapter_pb2.LoadAdapterResponse:
        """Serve another adapter."""
        if not request.folder:
            raise invalid("folder", "is empty; name the adapter's folder on the server's machine")
        collections, name, folder = self._runtime.collections, request.name, Path(request.folder)
        loaded = await self._runtime.workers.run(
            CallKind.ADAPTER, context, lambda stop: collections.adapters().load(name, folder)
        )
        return adapter_pb2.LoadAdapterResponse(adapter=adapter_to_proto(loaded))

    async def UnloadAdapter(
        self, request: adapter_pb2.UnloadAdapterRequest, context: Context
    ) -> adapter_pb2.UnloadAdapterResponse:
        """Refuse an adapter to new questions."""
        collections, name = self._runtime.collections, request.name
        await self._runtime.workers.run(
            CallKind.ADAPTER, context, lambda stop: collections.adapters().unload(name)
        )
        return adapter_pb2.UnloadAdapterResponse()

    async def ListAdapters(
        self, request: adapter_pb2.ListAdaptersRequest, context: Context
    ) -> adapter_pb2.ListAdaptersResponse:
        """List the adapters that a question may name."""
        collections = self._runtime.collections
        found = await self._runtime.workers.run(
            CallKind.ADAPTER, context, lambda stop: collections.adapters().all()
        )
        return adapter_pb2.ListAdaptersResponse(adapters=map(adapter_to_proto, found))
