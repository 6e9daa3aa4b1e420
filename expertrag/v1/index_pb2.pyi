from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Document(_message.Message):
    __slots__ = ("id", "text", "title", "domain", "metadata", "labels")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    title: str
    domain: str
    metadata: _struct_pb2.Struct
    labels: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., title: _Optional[str] = ..., domain: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., labels: _Optional[_Iterable[str]] = ...) -> None: ...

class ItemStatus(_message.Message):
    __slots__ = ("id", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    error: str
    def __init__(self, id: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class IndexStats(_message.Message):
    __slots__ = ("generation", "documents", "chunks", "embedder", "dimension", "domains", "metadata_fields", "size_bytes", "recall", "created_at", "degraded", "partitions", "domain_count", "metadata_field_count")
    class DomainsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class PartitionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    EMBEDDER_FIELD_NUMBER: _ClassVar[int]
    DIMENSION_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELDS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_COUNT_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_COUNT_FIELD_NUMBER: _ClassVar[int]
    generation: int
    documents: int
    chunks: int
    embedder: str
    dimension: int
    domains: _containers.ScalarMap[str, int]
    metadata_fields: _containers.RepeatedScalarFieldContainer[str]
    size_bytes: int
    recall: float
    created_at: str
    degraded: str
    partitions: _containers.ScalarMap[str, int]
    domain_count: int
    metadata_field_count: int
    def __init__(self, generation: _Optional[int] = ..., documents: _Optional[int] = ..., chunks: _Optional[int] = ..., embedder: _Optional[str] = ..., dimension: _Optional[int] = ..., domains: _Optional[_Mapping[str, int]] = ..., metadata_fields: _Optional[_Iterable[str]] = ..., size_bytes: _Optional[int] = ..., recall: _Optional[float] = ..., created_at: _Optional[str] = ..., degraded: _Optional[str] = ..., partitions: _Optional[_Mapping[str, int]] = ..., domain_count: _Optional[int] = ..., metadata_field_count: _Optional[int] = ...) -> None: ...

class UpsertRequest(_message.Message):
    __slots__ = ("document", "collection", "idempotency_key")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    document: Document
    collection: str
    idempotency_key: str
    def __init__(self, document: _Optional[_Union[Document, _Mapping]] = ..., collection: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class UpsertResponse(_message.Message):
    __slots__ = ("generation", "added", "changed", "unchanged", "items", "items_omitted")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_OMITTED_FIELD_NUMBER: _ClassVar[int]
    generation: int
    added: int
    changed: int
    unchanged: int
    items: _containers.RepeatedCompositeFieldContainer[ItemStatus]
    items_omitted: int
    def __init__(self, generation: _Optional[int] = ..., added: _Optional[int] = ..., changed: _Optional[int] = ..., unchanged: _Optional[int] = ..., items: _Optional[_Iterable[_Union[ItemStatus, _Mapping]]] = ..., items_omitted: _Optional[int] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("ids", "collection", "idempotency_key")
    IDS_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    IDEMPOTENCY_KEY_FIELD_NUMBER: _ClassVar[int]
    ids: _containers.RepeatedScalarFieldContainer[str]
    collection: str
    idempotency_key: str
    def __init__(self, ids: _Optional[_Iterable[str]] = ..., collection: _Optional[str] = ..., idempotency_key: _Optional[str] = ...) -> None: ...

class DeleteResponse(_message.Message):
    __slots__ = ("generation", "removed", "items", "items_omitted")
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    ITEMS_OMITTED_FIELD_NUMBER: _ClassVar[int]
    generation: int
    removed: int
    items: _containers.RepeatedCompositeFieldContainer[ItemStatus]
    items_omitted: int
    def __init__(self, generation: _Optional[int] = ..., removed: _Optional[int] = ..., items: _Optional[_Iterable[_Union[ItemStatus, _Mapping]]] = ..., items_omitted: _Optional[int] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("stats",)
    STATS_FIELD_NUMBER: _ClassVar[int]
    stats: IndexStats
    def __init__(self, stats: _Optional[_Union[IndexStats, _Mapping]] = ...) -> None: ...
