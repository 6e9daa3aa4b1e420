"""AdapterService: load, unload and list adapters of the language model."""

from __future__ import annotations

from expertrag.api.adapters import LoadAdapterRequest
from expertrag.serving.core.operations.adapters import list_adapters, load_adapter, unload_adapter
from expertrag.serving.grpc.servicer import Context, Servicer, call_of
from expertrag.v1 import adapter_pb2
from expertrag.v1.adapter_pb2_grpc import AdapterServiceServicer
from expertrag.wire.common import message_of


class AdapterService(Servicer, AdapterServiceServicer):
    """Manages the adapters, which all collections share."""

    async def LoadAdapter(
        self, request: adapter_pb2.LoadAdapterRequest, context: Context
    ) -> adapter_pb2.LoadAdapterResponse:
        """Serve another adapter."""
        wanted = LoadAdapterRequest(request.name, request.folder)
        loaded = await load_adapter(self._runtime, call_of(), wanted)
        return adapter_pb2.LoadAdapterResponse(adapter=message_of(adapter_pb2.Adapter, loaded))

    async def UnloadAdapter(
        self, request: adapter_pb2.UnloadAdapterRequest, context: Context
    ) -> adapter_pb2.UnloadAdapterResponse:
        """Refuse an adapter to new questions."""
        await unload_adapter(self._runtime, call_of(), request.name)
        return adapter_pb2.UnloadAdapterResponse()

    async def ListAdapters(
        self, request: adapter_pb2.ListAdaptersRequest, context: Context
    ) -> adapter_pb2.ListAdaptersResponse:
        """List the adapters that a question may name."""
        adapters = await list_adapters(self._runtime, call_of())
        messages = [message_of(adapter_pb2.Adapter, adapter) for adapter in adapters]
        return adapter_pb2.ListAdaptersResponse(adapters=messages)
