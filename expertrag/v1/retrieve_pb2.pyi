from expertrag.v1 import conversation_pb2 as _conversation_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SearchMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SEARCH_MODE_UNSPECIFIED: _ClassVar[SearchMode]
    SEARCH_MODE_HYBRID: _ClassVar[SearchMode]
    SEARCH_MODE_DENSE: _ClassVar[SearchMode]
    SEARCH_MODE_BM25: _ClassVar[SearchMode]

class RerankMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RERANK_MODE_UNSPECIFIED: _ClassVar[RerankMode]
    RERANK_MODE_AUTO: _ClassVar[RerankMode]
    RERANK_MODE_ON: _ClassVar[RerankMode]
    RERANK_MODE_OFF: _ClassVar[RerankMode]
SEARCH_MODE_UNSPECIFIED: SearchMode
SEARCH_MODE_HYBRID: SearchMode
SEARCH_MODE_DENSE: SearchMode
SEARCH_MODE_BM25: SearchMode
RERANK_MODE_UNSPECIFIED: RerankMode
RERANK_MODE_AUTO: RerankMode
RERANK_MODE_ON: RerankMode
RERANK_MODE_OFF: RerankMode

class Passage(_message.Message):
    __slots__ = ("document_id", "ordinal", "text", "start", "end", "score", "dense_score", "lexical_score", "title", "domain", "source", "metadata", "page", "page_starts", "rerank_score")
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    ORDINAL_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    DENSE_SCORE_FIELD_NUMBER: _ClassVar[int]
    LEXICAL_SCORE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    PAGE_STARTS_FIELD_NUMBER: _ClassVar[int]
    RERANK_SCORE_FIELD_NUMBER: _ClassVar[int]
    document_id: str
    ordinal: int
    text: str
    start: int
    end: int
    score: float
    dense_score: float
    lexical_score: float
    title: str
    domain: str
    source: str
    metadata: _struct_pb2.Struct
    page: int
    page_starts: _containers.RepeatedScalarFieldContainer[int]
    rerank_score: float
    def __init__(self, document_id: _Optional[str] = ..., ordinal: _Optional[int] = ..., text: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., score: _Optional[float] = ..., dense_score: _Optional[float] = ..., lexical_score: _Optional[float] = ..., title: _Optional[str] = ..., domain: _Optional[str] = ..., source: _Optional[str] = ..., metadata: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., page: _Optional[int] = ..., page_starts: _Optional[_Iterable[int]] = ..., rerank_score: _Optional[float] = ...) -> None: ...

class RetrieveRequest(_message.Message):
    __slots__ = ("query", "k", "filter", "mode", "collection", "history", "rerank")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    query: str
    k: int
    filter: _struct_pb2.Struct
    mode: SearchMode
    collection: str
    history: _containers.RepeatedCompositeFieldContainer[_conversation_pb2.Turn]
    rerank: RerankMode
    def __init__(self, query: _Optional[str] = ..., k: _Optional[int] = ..., filter: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., mode: _Optional[_Union[SearchMode, str]] = ..., collection: _Optional[str] = ..., history: _Optional[_Iterable[_Union[_conversation_pb2.Turn, _Mapping]]] = ..., rerank: _Optional[_Union[RerankMode, str]] = ...) -> None: ...

class RetrieveResponse(_message.Message):
    __slots__ = ("passages", "generation", "vectors_scanned", "seconds", "rewritten_query", "reranked", "rerank_skipped")
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    VECTORS_SCANNED_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    REWRITTEN_QUERY_FIELD_NUMBER: _ClassVar[int]
    RERANKED_FIELD_NUMBER: _ClassVar[int]
    RERANK_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[Passage]
    generation: int
    vectors_scanned: int
    seconds: float
    rewritten_query: str
    reranked: int
    rerank_skipped: str
    def __init__(self, passages: _Optional[_Iterable[_Union[Passage, _Mapping]]] = ..., generation: _Optional[int] = ..., vectors_scanned: _Optional[int] = ..., seconds: _Optional[float] = ..., rewritten_query: _Optional[str] = ..., reranked: _Optional[int] = ..., rerank_skipped: _Optional[str] = ...) -> None: ...
