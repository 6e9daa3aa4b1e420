"""Messages of ``index.proto`` and ``info.proto``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from expertrag.api.types import DocumentInput, IndexStats, ItemStatus, ServerInfo, UpdateReport
from expertrag.v1 import index_pb2, info_pb2
from expertrag.wire.common import fits_the_wire, metadata_from_proto, struct_to_proto


def document_to_proto(document: DocumentInput) -> index_pb2.UpsertRequest:
    """Return the request that carries a document."""
    with fits_the_wire():
        return index_pb2.UpsertRequest(
            document=index_pb2.Document(
                id=document.id,
                text=document.text,
                title=document.title,
                domain=document.domain,
                metadata=struct_to_proto("metadata", document.metadata),
            )
        )


def document_from_proto(request: index_pb2.UpsertRequest) -> DocumentInput:
    """Return the document."""
    document = request.document
    return DocumentInput(
        id=document.id,
        text=document.text,
        title=document.title,
        domain=document.domain if document.HasField("domain") else None,
        metadata=metadata_from_proto("metadata", document.metadata),
    )


def ids_to_proto(ids: Sequence[str]) -> index_pb2.DeleteRequest:
    """Return the request of a delete."""
    with fits_the_wire():
        return index_pb2.DeleteRequest(ids=ids)


def upsert_to_proto(report: UpdateReport) -> index_pb2.UpsertResponse:
    """Return the response to an upsert."""
    return index_pb2.UpsertResponse(
        generation=report.generation,
        added=report.added,
        changed=report.changed,
        unchanged=report.unchanged,
        items=map(_item_to_proto, report.items),
    )


def upsert_from_proto(response: index_pb2.UpsertResponse) -> UpdateReport:
    """Return the report of an upsert; it removes nothing."""
    return UpdateReport(
        generation=response.generation,
        added=response.added,
        changed=response.changed,
        unchanged=response.unchanged,
        removed=0,
        items=_items_from_proto(response.items),
    )


def delete_to_proto(report: UpdateReport) -> index_pb2.DeleteResponse:
    """Return the response to a delete."""
    return index_pb2.DeleteResponse(
        generation=report.generation,
        removed=report.removed,
        items=map(_item_to_proto, report.items),
    )


def delete_from_proto(response: index_pb2.DeleteResponse) -> UpdateReport:
    """Return the report of a delete; it only removes."""
    return UpdateReport(
        generation=response.generation,
        added=0,
        changed=0,
        unchanged=0,
        removed=response.removed,
        items=_items_from_proto(response.items),
    )


def stats_to_proto(stats: IndexStats) -> index_pb2.IndexStats:
    """Return the message."""
    return index_pb2.IndexStats(
        generation=stats.generation,
        documents=stats.documents,
        chunks=stats.chunks,
        embedder=stats.embedder,
        dimension=stats.dimension,
        domains=dict(stats.domains),
        metadata_fields=stats.metadata_fields,
        size_bytes=stats.size_bytes,
        recall=stats.recall,
        created_at=stats.created_at,
        degraded=stats.degraded,
        partitions=dict(stats.partitions),
    )


def stats_from_proto(stats: index_pb2.IndexStats) -> IndexStats:
    """Return the value."""
    return IndexStats(
        generation=stats.generation,
        documents=stats.documents,
        chunks=stats.chunks,
        embedder=stats.embedder,
        dimension=stats.dimension,
        domains=dict(stats.domains),
        metadata_fields=tuple(stats.metadata_fields),
        size_bytes=stats.size_bytes,
        recall=stats.recall,
        created_at=stats.created_at,
        degraded=stats.degraded,
        partitions=dict(stats.partitions),
    )


def info_to_proto(info: ServerInfo) -> info_pb2.InfoResponse:
    """Return the message."""
    return info_pb2.InfoResponse(
        version=info.version,
        embedder=info.embedder,
        model=info.model,
        gate=info.gate,
        context_tokens=info.context_tokens,
        max_query_bytes=info.max_query_bytes,
        max_k=info.max_k,
        index=stats_to_proto(info.index) if info.index else None,
    )


def info_from_proto(response: info_pb2.InfoResponse) -> ServerInfo:
    """Return the value."""
    return ServerInfo(
        version=response.version,
        embedder=response.embedder,
        model=response.model,
        gate=response.gate,
        context_tokens=response.context_tokens,
        max_query_bytes=response.max_query_bytes,
        max_k=response.max_k,
        index=stats_from_proto(response.index) if response.HasField("index") else None,
    )


def _item_to_proto(item: ItemStatus) -> index_pb2.ItemStatus:
    return index_pb2.ItemStatus(id=item.id, error=item.error)


def _items_from_proto(items: Iterable[index_pb2.ItemStatus]) -> tuple[ItemStatus, ...]:
    return tuple(ItemStatus(item.id, item.error) for item in items)
