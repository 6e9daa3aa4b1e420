from expertrag.v1 import conversation_pb2 as _conversation_pb2
from expertrag.v1 import gate_pb2 as _gate_pb2
from expertrag.v1 import retrieve_pb2 as _retrieve_pb2
from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FinishReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FINISH_REASON_UNSPECIFIED: _ClassVar[FinishReason]
    FINISH_REASON_STOP: _ClassVar[FinishReason]
    FINISH_REASON_LENGTH: _ClassVar[FinishReason]
    FINISH_REASON_ABSTAINED: _ClassVar[FinishReason]

class WeakSide(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WEAK_SIDE_UNSPECIFIED: _ClassVar[WeakSide]
    WEAK_SIDE_ROUTING: _ClassVar[WeakSide]
    WEAK_SIDE_NO_PASSAGES: _ClassVar[WeakSide]
    WEAK_SIDE_BASE: _ClassVar[WeakSide]
FINISH_REASON_UNSPECIFIED: FinishReason
FINISH_REASON_STOP: FinishReason
FINISH_REASON_LENGTH: FinishReason
FINISH_REASON_ABSTAINED: FinishReason
WEAK_SIDE_UNSPECIFIED: WeakSide
WEAK_SIDE_ROUTING: WeakSide
WEAK_SIDE_NO_PASSAGES: WeakSide
WEAK_SIDE_BASE: WeakSide

class Sampling(_message.Message):
    __slots__ = ("max_tokens", "temperature", "seed", "stop", "frequency_penalty", "constraint", "logprobs", "routing", "adapter", "contrast", "top_p")
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    CONSTRAINT_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    CONTRAST_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    max_tokens: int
    temperature: float
    seed: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    frequency_penalty: float
    constraint: Constraint
    logprobs: int
    routing: str
    adapter: str
    contrast: Contrast
    top_p: float
    def __init__(self, max_tokens: _Optional[int] = ..., temperature: _Optional[float] = ..., seed: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., frequency_penalty: _Optional[float] = ..., constraint: _Optional[_Union[Constraint, _Mapping]] = ..., logprobs: _Optional[int] = ..., routing: _Optional[str] = ..., adapter: _Optional[str] = ..., contrast: _Optional[_Union[Contrast, _Mapping]] = ..., top_p: _Optional[float] = ...) -> None: ...

class Contrast(_message.Message):
    __slots__ = ("weak", "beta", "plausibility", "routing")
    WEAK_FIELD_NUMBER: _ClassVar[int]
    BETA_FIELD_NUMBER: _ClassVar[int]
    PLAUSIBILITY_FIELD_NUMBER: _ClassVar[int]
    ROUTING_FIELD_NUMBER: _ClassVar[int]
    weak: WeakSide
    beta: float
    plausibility: float
    routing: str
    def __init__(self, weak: _Optional[_Union[WeakSide, str]] = ..., beta: _Optional[float] = ..., plausibility: _Optional[float] = ..., routing: _Optional[str] = ...) -> None: ...

class Constraint(_message.Message):
    __slots__ = ("regex", "json_schema", "choices", "grammar")
    REGEX_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    CHOICES_FIELD_NUMBER: _ClassVar[int]
    GRAMMAR_FIELD_NUMBER: _ClassVar[int]
    regex: str
    json_schema: str
    choices: Choices
    grammar: str
    def __init__(self, regex: _Optional[str] = ..., json_schema: _Optional[str] = ..., choices: _Optional[_Union[Choices, _Mapping]] = ..., grammar: _Optional[str] = ...) -> None: ...

class Choices(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, values: _Optional[_Iterable[str]] = ...) -> None: ...

class Question(_message.Message):
    __slots__ = ("text", "policy", "k", "filter", "domain", "sampling", "steps", "history", "rerank", "instructions", "scope", "as_of")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    SAMPLING_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    RERANK_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTIONS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    text: str
    policy: _gate_pb2.GatePolicy
    k: int
    filter: _struct_pb2.Struct
    domain: str
    sampling: Sampling
    steps: int
    history: _containers.RepeatedCompositeFieldContainer[_conversation_pb2.Turn]
    rerank: _retrieve_pb2.RerankMode
    instructions: str
    scope: _gate_pb2.QuestionScope
    as_of: str
    def __init__(self, text: _Optional[str] = ..., policy: _Optional[_Union[_gate_pb2.GatePolicy, _Mapping]] = ..., k: _Optional[int] = ..., filter: _Optional[_Union[_struct_pb2.Struct, _Mapping]] = ..., domain: _Optional[str] = ..., sampling: _Optional[_Union[Sampling, _Mapping]] = ..., steps: _Optional[int] = ..., history: _Optional[_Iterable[_Union[_conversation_pb2.Turn, _Mapping]]] = ..., rerank: _Optional[_Union[_retrieve_pb2.RerankMode, str]] = ..., instructions: _Optional[str] = ..., scope: _Optional[_Union[_gate_pb2.QuestionScope, str]] = ..., as_of: _Optional[str] = ...) -> None: ...

class Citation(_message.Message):
    __slots__ = ("answer_start", "answer_end", "passage", "document_id", "start", "end", "score", "page")
    ANSWER_START_FIELD_NUMBER: _ClassVar[int]
    ANSWER_END_FIELD_NUMBER: _ClassVar[int]
    PASSAGE_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_ID_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    answer_start: int
    answer_end: int
    passage: int
    document_id: str
    start: int
    end: int
    score: float
    page: int
    def __init__(self, answer_start: _Optional[int] = ..., answer_end: _Optional[int] = ..., passage: _Optional[int] = ..., document_id: _Optional[str] = ..., start: _Optional[int] = ..., end: _Optional[int] = ..., score: _Optional[float] = ..., page: _Optional[int] = ...) -> None: ...

class TokenLogprob(_message.Message):
    __slots__ = ("text", "logprob", "top")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    text: str
    logprob: float
    top: _containers.RepeatedCompositeFieldContainer[TopLogprob]
    def __init__(self, text: _Optional[str] = ..., logprob: _Optional[float] = ..., top: _Optional[_Iterable[_Union[TopLogprob, _Mapping]]] = ...) -> None: ...

class TopLogprob(_message.Message):
    __slots__ = ("text", "logprob")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROB_FIELD_NUMBER: _ClassVar[int]
    text: str
    logprob: float
    def __init__(self, text: _Optional[str] = ..., logprob: _Optional[float] = ...) -> None: ...

class Cell(_message.Message):
    __slots__ = ("text", "integer", "number", "truth")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    INTEGER_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TRUTH_FIELD_NUMBER: _ClassVar[int]
    text: str
    integer: int
    number: float
    truth: bool
    def __init__(self, text: _Optional[str] = ..., integer: _Optional[int] = ..., number: _Optional[float] = ..., truth: bool = ...) -> None: ...

class Row(_message.Message):
    __slots__ = ("cells",)
    CELLS_FIELD_NUMBER: _ClassVar[int]
    cells: _containers.RepeatedCompositeFieldContainer[Cell]
    def __init__(self, cells: _Optional[_Iterable[_Union[Cell, _Mapping]]] = ...) -> None: ...

class RowSources(_message.Message):
    __slots__ = ("document_ids",)
    DOCUMENT_IDS_FIELD_NUMBER: _ClassVar[int]
    document_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, document_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class AnswerTable(_message.Message):
    __slots__ = ("columns", "rows", "sources", "query")
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    columns: _containers.RepeatedScalarFieldContainer[str]
    rows: _containers.RepeatedCompositeFieldContainer[Row]
    sources: _containers.RepeatedCompositeFieldContainer[RowSources]
    query: str
    def __init__(self, columns: _Optional[_Iterable[str]] = ..., rows: _Optional[_Iterable[_Union[Row, _Mapping]]] = ..., sources: _Optional[_Iterable[_Union[RowSources, _Mapping]]] = ..., query: _Optional[str] = ...) -> None: ...

class Coverage(_message.Message):
    __slots__ = ("searched", "matched", "read", "left_out", "complete", "reason")
    SEARCHED_FIELD_NUMBER: _ClassVar[int]
    MATCHED_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    searched: int
    matched: int
    read: int
    left_out: int
    complete: bool
    reason: str
    def __init__(self, searched: _Optional[int] = ..., matched: _Optional[int] = ..., read: _Optional[int] = ..., left_out: _Optional[int] = ..., complete: bool = ..., reason: _Optional[str] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("lm_calls", "retrieval_calls", "prompt_tokens", "completion_tokens", "vectors_scanned", "passages_dropped", "stage_seconds", "cached_prompt_tokens", "turns_dropped", "reranked", "rerank_skipped", "expert_hits", "expert_misses", "expert_bytes_read", "expert_stalled_ms")
    class StageSecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_CALLS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_TOKENS_FIELD_NUMBER: _ClassVar[int]
    VECTORS_SCANNED_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_DROPPED_FIELD_NUMBER: _ClassVar[int]
    STAGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    CACHED_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TURNS_DROPPED_FIELD_NUMBER: _ClassVar[int]
    RERANKED_FIELD_NUMBER: _ClassVar[int]
    RERANK_SKIPPED_FIELD_NUMBER: _ClassVar[int]
    EXPERT_HITS_FIELD_NUMBER: _ClassVar[int]
    EXPERT_MISSES_FIELD_NUMBER: _ClassVar[int]
    EXPERT_BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    EXPERT_STALLED_MS_FIELD_NUMBER: _ClassVar[int]
    lm_calls: int
    retrieval_calls: int
    prompt_tokens: int
    completion_tokens: int
    vectors_scanned: int
    passages_dropped: int
    stage_seconds: _containers.ScalarMap[str, float]
    cached_prompt_tokens: int
    turns_dropped: int
    reranked: int
    rerank_skipped: int
    expert_hits: int
    expert_misses: int
    expert_bytes_read: int
    expert_stalled_ms: int
    def __init__(self, lm_calls: _Optional[int] = ..., retrieval_calls: _Optional[int] = ..., prompt_tokens: _Optional[int] = ..., completion_tokens: _Optional[int] = ..., vectors_scanned: _Optional[int] = ..., passages_dropped: _Optional[int] = ..., stage_seconds: _Optional[_Mapping[str, float]] = ..., cached_prompt_tokens: _Optional[int] = ..., turns_dropped: _Optional[int] = ..., reranked: _Optional[int] = ..., rerank_skipped: _Optional[int] = ..., expert_hits: _Optional[int] = ..., expert_misses: _Optional[int] = ..., expert_bytes_read: _Optional[int] = ..., expert_stalled_ms: _Optional[int] = ...) -> None: ...

class AnswerRequest(_message.Message):
    __slots__ = ("question", "collection")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    question: Question
    collection: str
    def __init__(self, question: _Optional[_Union[Question, _Mapping]] = ..., collection: _Optional[str] = ...) -> None: ...

class AnswerResponse(_message.Message):
    __slots__ = ("text", "decision", "passages", "citations", "usage", "finish_reason", "support", "generation", "model", "p_sufficient", "logprobs", "from_documents", "unsupported_reason", "table", "coverage")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DECISION_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    P_SUFFICIENT_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    FROM_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    UNSUPPORTED_REASON_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    text: str
    decision: _gate_pb2.GateDecision
    passages: _containers.RepeatedCompositeFieldContainer[_retrieve_pb2.Passage]
    citations: _containers.RepeatedCompositeFieldContainer[Citation]
    usage: Usage
    finish_reason: FinishReason
    support: float
    generation: int
    model: str
    p_sufficient: float
    logprobs: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    from_documents: bool
    unsupported_reason: str
    table: AnswerTable
    coverage: Coverage
    def __init__(self, text: _Optional[str] = ..., decision: _Optional[_Union[_gate_pb2.GateDecision, _Mapping]] = ..., passages: _Optional[_Iterable[_Union[_retrieve_pb2.Passage, _Mapping]]] = ..., citations: _Optional[_Iterable[_Union[Citation, _Mapping]]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., finish_reason: _Optional[_Union[FinishReason, str]] = ..., support: _Optional[float] = ..., generation: _Optional[int] = ..., model: _Optional[str] = ..., p_sufficient: _Optional[float] = ..., logprobs: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ..., from_documents: bool = ..., unsupported_reason: _Optional[str] = ..., table: _Optional[_Union[AnswerTable, _Mapping]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ...) -> None: ...

class StreamAnswerRequest(_message.Message):
    __slots__ = ("question", "collection", "with_tables")
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    WITH_TABLES_FIELD_NUMBER: _ClassVar[int]
    question: Question
    collection: str
    with_tables: bool
    def __init__(self, question: _Optional[_Union[Question, _Mapping]] = ..., collection: _Optional[str] = ..., with_tables: bool = ...) -> None: ...

class StreamAnswerResponse(_message.Message):
    __slots__ = ("seq", "gate", "passages", "delta", "citation", "usage", "done", "progress", "table")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    GATE_FIELD_NUMBER: _ClassVar[int]
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    DELTA_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    seq: int
    gate: _gate_pb2.GateDecision
    passages: Passages
    delta: Delta
    citation: Citation
    usage: Usage
    done: Done
    progress: Progress
    table: TableEvent
    def __init__(self, seq: _Optional[int] = ..., gate: _Optional[_Union[_gate_pb2.GateDecision, _Mapping]] = ..., passages: _Optional[_Union[Passages, _Mapping]] = ..., delta: _Optional[_Union[Delta, _Mapping]] = ..., citation: _Optional[_Union[Citation, _Mapping]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., table: _Optional[_Union[TableEvent, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total", "seconds_left")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    seconds_left: float
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., seconds_left: _Optional[float] = ...) -> None: ...

class TableEvent(_message.Message):
    __slots__ = ("table", "coverage")
    TABLE_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    table: AnswerTable
    coverage: Coverage
    def __init__(self, table: _Optional[_Union[AnswerTable, _Mapping]] = ..., coverage: _Optional[_Union[Coverage, _Mapping]] = ...) -> None: ...

class Passages(_message.Message):
    __slots__ = ("passages", "generation")
    PASSAGES_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    passages: _containers.RepeatedCompositeFieldContainer[_retrieve_pb2.Passage]
    generation: int
    def __init__(self, passages: _Optional[_Iterable[_Union[_retrieve_pb2.Passage, _Mapping]]] = ..., generation: _Optional[int] = ...) -> None: ...

class Delta(_message.Message):
    __slots__ = ("text", "logprobs")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    LOGPROBS_FIELD_NUMBER: _ClassVar[int]
    text: str
    logprobs: _containers.RepeatedCompositeFieldContainer[TokenLogprob]
    def __init__(self, text: _Optional[str] = ..., logprobs: _Optional[_Iterable[_Union[TokenLogprob, _Mapping]]] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("finish_reason", "support", "model", "p_sufficient", "from_documents", "unsupported_reason")
    FINISH_REASON_FIELD_NUMBER: _ClassVar[int]
    SUPPORT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    P_SUFFICIENT_FIELD_NUMBER: _ClassVar[int]
    FROM_DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    UNSUPPORTED_REASON_FIELD_NUMBER: _ClassVar[int]
    finish_reason: FinishReason
    support: float
    model: str
    p_sufficient: float
    from_documents: bool
    unsupported_reason: str
    def __init__(self, finish_reason: _Optional[_Union[FinishReason, str]] = ..., support: _Optional[float] = ..., model: _Optional[str] = ..., p_sufficient: _Optional[float] = ..., from_documents: bool = ..., unsupported_reason: _Optional[str] = ...) -> None: ...
