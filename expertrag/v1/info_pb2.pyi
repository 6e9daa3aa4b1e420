from expertrag.v1 import index_pb2 as _index_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InfoRequest(_message.Message):
    __slots__ = ("collection",)
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    def __init__(self, collection: _Optional[str] = ...) -> None: ...

class InfoResponse(_message.Message):
    __slots__ = ("version", "embedder", "model", "gate", "context_tokens", "max_query_bytes", "max_k", "index", "problems", "replica")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    EMBEDDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUERY_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_K_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    PROBLEMS_FIELD_NUMBER: _ClassVar[int]
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    version: str
    embedder: str
    model: str
    gate: str
    context_tokens: int
    max_query_bytes: int
    max_k: int
    index: _index_pb2.IndexStats
    problems: _containers.RepeatedScalarFieldContainer[str]
    replica: ReplicaStatus
    def __init__(self, version: _Optional[str] = ..., embedder: _Optional[str] = ..., model: _Optional[str] = ..., gate: _Optional[str] = ..., context_tokens: _Optional[int] = ..., max_query_bytes: _Optional[int] = ..., max_k: _Optional[int] = ..., index: _Optional[_Union[_index_pb2.IndexStats, _Mapping]] = ..., problems: _Optional[_Iterable[str]] = ..., replica: _Optional[_Union[ReplicaStatus, _Mapping]] = ...) -> None: ...

class ReplicaStatus(_message.Message):
    __slots__ = ("role", "newest", "seconds_behind", "failures", "problem")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    SECONDS_BEHIND_FIELD_NUMBER: _ClassVar[int]
    FAILURES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    role: str
    newest: int
    seconds_behind: float
    failures: int
    problem: str
    def __init__(self, role: _Optional[str] = ..., newest: _Optional[int] = ..., seconds_behind: _Optional[float] = ..., failures: _Optional[int] = ..., problem: _Optional[str] = ...) -> None: ...
