"""Messages of ``index.proto`` and ``info.proto``."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from expertrag.api.info import IndexStats, ReplicaStatus, ServerInfo
from expertrag.api.types import DocumentInput, ItemStatus, UpdateReport
from expertrag.v1 import index_pb2, info_pb2
from expertrag.wire.common import (
    fits_the_wire,
    message_of,
    metadata_from_proto,
    struct_to_proto,
    value_of,
)

MAX_ITEMS_BYTES = 4 * 1024 * 1024
"""Items of a response to a write, whose limit is 8 MiB: the write is done, and must be reported."""
_FRAME_BYTES = 8
"""Most bytes of an item's tag and length."""


def document_to_proto(document: DocumentInput) -> index_pb2.UpsertRequest:
    """Return the request that carries a document."""
    metadata = struct_to_proto("metadata", document.metadata)
    with fits_the_wire():
        message = message_of(index_pb2.Document, document, metadata=metadata)
        return index_pb2.UpsertRequest(document=message)


def document_from_proto(request: index_pb2.UpsertRequest) -> DocumentInput:
    """Return the document."""
    metadata = metadata_from_proto("metadata", request.document.metadata)
    return value_of(DocumentInput, request.document, metadata=metadata)


def ids_to_proto(ids: Sequence[str]) -> index_pb2.DeleteRequest:
    """Return the request of a delete, with a key of its own: it may be sent again."""
    with fits_the_wire():
        return index_pb2.DeleteRequest(ids=ids, idempotency_key=uuid.uuid4().hex)


def upsert_to_proto(report: UpdateReport) -> index_pb2.UpsertResponse:
    """Return the response to an upsert."""
    return index_pb2.UpsertResponse(
        generation=report.generation,
        added=report.added,
        changed=report.changed,
        unchanged=report.unchanged,
        **_items_to_proto(report.items),
    )


def upsert_from_proto(response: index_pb2.UpsertResponse) -> UpdateReport:
    """Return the report of an upsert; it removes nothing."""
    return value_of(UpdateReport, response, removed=0, items=_items_from_proto(response.items))


def delete_to_proto(report: UpdateReport) -> index_pb2.DeleteResponse:
    """Return the response to a delete."""
    return index_pb2.DeleteResponse(
        generation=report.generation, removed=report.removed, **_items_to_proto(report.items)
    )


def delete_from_proto(response: index_pb2.DeleteResponse) -> UpdateReport:
    """Return the report of a delete; it only removes."""
    items = _items_from_proto(response.items)
    return value_of(UpdateReport, response, added=0, changed=0, unchanged=0, items=items)


def stats_to_proto(stats: IndexStats) -> index_pb2.IndexStats:
    """Return the message."""
    return message_of(index_pb2.IndexStats, stats)


def stats_from_proto(stats: index_pb2.IndexStats) -> IndexStats:
    """Return the value."""
    return value_of(IndexStats, stats)


def info_to_proto(info: ServerInfo) -> info_pb2.InfoResponse:
    """Return the message."""
    index = stats_to_proto(info.index) if info.index else None
    replica = replica_to_proto(info.replica)
    return message_of(info_pb2.InfoResponse, info, index=index, replica=replica)


def replica_to_proto(status: ReplicaStatus | None) -> info_pb2.ReplicaStatus | None:
    """Return the message; None for none."""
    return message_of(info_pb2.ReplicaStatus, status) if status else None


def info_from_proto(response: info_pb2.InfoResponse) -> ServerInfo:
    """Return the value."""
    index = stats_from_proto(response.index) if response.HasField("index") else None
    replica = value_of(ReplicaStatus, response.replica) if response.HasField("replica") else None
    return value_of(ServerInfo, response, index=index, replica=replica)


def _items_to_proto(items: Sequence[ItemStatus]) -> dict[str, Any]:
    """Return the fields of the items that fit into a response, failed ones before others."""
    messages = [message_of(index_pb2.ItemStatus, item) for item in items]
    sent: set[int] = set()
    size = 0
    for number in sorted(range(len(items)), key=lambda number: not items[number].error):
        size += messages[number].ByteSize() + _FRAME_BYTES
        if size > MAX_ITEMS_BYTES:
            break
        sent.add(number)
    return {
        "items": [messages[number] for number in sorted(sent)],
        "items_omitted": len(items) - len(sent),
    }


def _items_from_proto(items: Iterable[index_pb2.ItemStatus]) -> tuple[ItemStatus, ...]:
    return tuple(value_of(ItemStatus, item) for item in items)
