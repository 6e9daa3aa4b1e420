"""Messages of ``index.proto`` that are made of more than one value object, or of none."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from expertrag.api.types import DocumentInput, ItemStatus, UpdateReport
from expertrag.v1 import index_pb2
from expertrag.wire.common import fits_the_wire, message_of, request_of, value_of

MAX_ITEMS_BYTES = 4 * 1024 * 1024
"""Items of a response to a write, whose limit is 8 MiB: the write is done, and must be reported."""
_FRAME_BYTES = 8
"""Most bytes of an item's tag and length."""


def document_to_proto(document: DocumentInput) -> index_pb2.UpsertRequest:
    """Return the request that carries a document."""
    return index_pb2.UpsertRequest(document=request_of(index_pb2.Document, document))


def ids_to_proto(ids: Sequence[str]) -> index_pb2.DeleteRequest:
    """Return the request of a delete, with a key of its own: it may be sent again."""
    with fits_the_wire():
        return index_pb2.DeleteRequest(ids=ids, idempotency_key=uuid.uuid4().hex)


def upsert_to_proto(report: UpdateReport) -> index_pb2.UpsertResponse:
    """Return the response to an upsert."""
    return message_of(index_pb2.UpsertResponse, report, **_items_to_proto(report.items))


def upsert_from_proto(response: index_pb2.UpsertResponse) -> UpdateReport:
    """Return the report of an upsert; it removes nothing."""
    return value_of(UpdateReport, response, removed=0)


def delete_to_proto(report: UpdateReport) -> index_pb2.DeleteResponse:
    """Return the response to a delete."""
    return message_of(index_pb2.DeleteResponse, report, **_items_to_proto(report.items))


def delete_from_proto(response: index_pb2.DeleteResponse) -> UpdateReport:
    """Return the report of a delete; it only removes."""
    return value_of(UpdateReport, response, added=0, changed=0, unchanged=0)


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
