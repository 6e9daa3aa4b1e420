from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DocumentOrder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DOCUMENT_ORDER_UNSPECIFIED: _ClassVar[DocumentOrder]
    DOCUMENT_ORDER_ID: _ClassVar[DocumentOrder]
    DOCUMENT_ORDER_TITLE: _ClassVar[DocumentOrder]
    DOCUMENT_ORDER_SOURCE: _ClassVar[DocumentOrder]
    DOCUMENT_ORDER_NEWEST: _ClassVar[DocumentOrder]
DOCUMENT_ORDER_UNSPECIFIED: DocumentOrder
DOCUMENT_ORDER_ID: DocumentOrder
DOCUMENT_ORDER_TITLE: DocumentOrder
DOCUMENT_ORDER_SOURCE: DocumentOrder
DOCUMENT_ORDER_NEWEST: DocumentOrder

class DocumentInfo(_message.Message):
    __slots__ = ("id", "title", "domain", "source", "metadata", "characters", "chunks")
    ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    id: str
    title: str
    domain: str
    source: str
    metadata: _struct_pb2.Struct
    characters: int
    chunks: int
    def __init__(self, id: _Optional[str] = ..., title: _Optional[str] = ..., domain: _Optional[str] = ..., source: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., characters: _Optional[int] = ..., chunks: _Optional[int] = ...) -> None: ...

class DocumentChunk(_message.Message):
    __slots__ = ("ordinal", "start", "end", "text", "page")
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    ordinal: int
    start: int
    end: int
    text: str
    page: int
    def __init__(self, ordinal: _Optional[int] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., text: _Optional[str] = ..., page: _Optional[int] = ...) -> None: ...

class GetDocumentRequest(_message.Message):
    __slots__ = ("id", "start", "end", "collection")
    ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    start: int
    end: int
    collection: str
    def __init__(self, id: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., collection: _Optional[str] = ...) -> None: ...

class GetDocumentResponse(_message.Message):
    __slots__ = ("document", "text", "start", "end", "generation")
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    document: DocumentInfo
    text: str
    start: int
    end: int
    generation: int
    def __init__(self, document: _Optional[_Union[DocumentInfo, _Mapping]] = ..., text: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class ListDocumentsRequest(_message.Message):
    __slots__ = ("filter", "order", "page_size", "page_token", "collection")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    filter: _struct_pb2.Struct
    order: DocumentOrder
    page_size: int
    page_token: str
    collection: str
    def __init__(self, filter: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., order: _Optional[_Union[DocumentOrder, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., collection: _Optional[str] = ...) -> None: ...

class ListDocumentsResponse(_message.Message):
    __slots__ = ("documents", "next_page_token", "total", "generation")
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    documents: _containers.RepeatedCompositeFieldContainer[DocumentInfo]
    next_page_token: str
    total: int
    generation: int
    def __init__(self, documents: _Optional[_Iterable[_Union[DocumentInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class ListChunksRequest(_message.Message):
    __slots__ = ("id", "page_size", "page_token", "collection")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    page_size: int
    page_token: str
    collection: str
    def __init__(self, id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., collection: _Optional[str] = ...) -> None: ...

class ListChunksResponse(_message.Message):
    __slots__ = ("chunks", "next_page_token", "generation")
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    chunks: _containers.RepeatedCompositeFieldContainer[DocumentChunk]
    next_page_token: str
    generation: int
    def __init__(self, chunks: _Optional[_Iterable[_Union[DocumentChunk, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., generation: _Optional[int] = ...) -> None: ...

class SkippedFile(_message.Message):
    __slots__ = ("notice", "source", "document_id", "reason", "cure")
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    CURE_FIELD_NUMBER: _ClassVar[int]
    notice: bool
    source: str
    document_id: str
    reason: str
    cure: str
    def __init__(self, notice: bool = ..., source: _Optional[str] = ..., document_id: _Optional[str] = ..., reason: _Optional[str] = ..., cure: _Optional[str] = ...) -> None: ...

class ListSkippedRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "collection")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    collection: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., collection: _Optional[str] = ...) -> None: ...

class ListSkippedResponse(_message.Message):
    __slots__ = ("files", "next_page_token", "total")
    FILES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[SkippedFile]
    next_page_token: str
    total: int
    def __init__(self, files: _Optional[_Iterable[_Union[SkippedFile, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total: _Optional[int] = ...) -> None: ...
