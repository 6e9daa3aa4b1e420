"""Messages of ``adapter.proto``."""

from __future__ import annotations

from expertrag.api.adapters import AdapterInfo, LoadAdapterRequest
from expertrag.v1 import adapter_pb2
from expertrag.wire.common import fits_the_wire, message_of, value_of


def load_to_proto(request: LoadAdapterRequest) -> adapter_pb2.LoadAdapterRequest:
    """Return the message."""
    with fits_the_wire():
        return message_of(adapter_pb2.LoadAdapterRequest, request)


def name_to_proto(name: str) -> adapter_pb2.UnloadAdapterRequest:
    """Return the message."""
    with fits_the_wire():
        return adapter_pb2.UnloadAdapterRequest(name=name)


def adapter_to_proto(adapter: AdapterInfo) -> adapter_pb2.Adapter:
    """Return the message."""
    return message_of(adapter_pb2.Adapter, adapter)


def adapter_from_proto(adapter: adapter_pb2.Adapter) -> AdapterInfo:
    """Return the value."""
    return value_of(AdapterInfo, adapter)


def adapters_from_proto(response: adapter_pb2.ListAdaptersResponse) -> list[AdapterInfo]:
    """Return the values."""
    return list(map(adapter_from_proto, response.adapters))
