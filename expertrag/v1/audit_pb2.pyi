from expertrag.v1 import gate_pb2 as _gate_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ReplayRequest(_message.Message):
    __slots__ = ("threshold", "target_rate", "collection")
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    TARGET_RATE_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    threshold: float
    target_rate: float
    collection: str
    def __init__(self, threshold: _Optional[float] = ..., target_rate: _Optional[float] = ..., collection: _Optional[str] = ...) -> None: ...

class ReplayOutcome(_message.Message):
    __slots__ = ("decisions", "retrievals", "rate", "answers", "lm_calls", "retrieval_calls", "seconds", "stage_seconds")
    class StageSecondsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    RETRIEVALS_FIELD_NUMBER: _ClassVar[int]
    RATE_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    LM_CALLS_FIELD_NUMBER: _ClassVar[int]
    RETRIEVAL_CALLS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    STAGE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    decisions: int
    retrievals: int
    rate: float
    answers: int
    lm_calls: float
    retrieval_calls: float
    seconds: float
    stage_seconds: _containers.ScalarMap[str, float]
    def __init__(self, decisions: _Optional[int] = ..., retrievals: _Optional[int] = ..., rate: _Optional[float] = ..., answers: _Optional[int] = ..., lm_calls: _Optional[float] = ..., retrieval_calls: _Optional[float] = ..., seconds: _Optional[float] = ..., stage_seconds: _Optional[_Mapping[str, float]] = ...) -> None: ...

class ReplayChanges(_message.Message):
    __slots__ = ("total", "to_retrieve", "to_closed_book", "helpful", "not_helpful")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TO_RETRIEVE_FIELD_NUMBER: _ClassVar[int]
    TO_CLOSED_BOOK_FIELD_NUMBER: _ClassVar[int]
    HELPFUL_FIELD_NUMBER: _ClassVar[int]
    NOT_HELPFUL_FIELD_NUMBER: _ClassVar[int]
    total: int
    to_retrieve: int
    to_closed_book: int
    helpful: int
    not_helpful: int
    def __init__(self, total: _Optional[int] = ..., to_retrieve: _Optional[int] = ..., to_closed_book: _Optional[int] = ..., helpful: _Optional[int] = ..., not_helpful: _Optional[int] = ...) -> None: ...

class ReplayResponse(_message.Message):
    __slots__ = ("policy", "threshold", "gates", "logged", "replayed", "changed", "rated", "forced", "unjudged", "torn", "histogram")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    GATES_FIELD_NUMBER: _ClassVar[int]
    LOGGED_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    RATED_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    UNJUDGED_FIELD_NUMBER: _ClassVar[int]
    TORN_FIELD_NUMBER: _ClassVar[int]
    HISTOGRAM_FIELD_NUMBER: _ClassVar[int]
    policy: str
    threshold: float
    gates: _containers.RepeatedScalarFieldContainer[str]
    logged: ReplayOutcome
    replayed: ReplayOutcome
    changed: ReplayChanges
    rated: int
    forced: int
    unjudged: int
    torn: int
    histogram: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, policy: _Optional[str] = ..., threshold: _Optional[float] = ..., gates: _Optional[_Iterable[str]] = ..., logged: _Optional[_Union[ReplayOutcome, _Mapping]] = ..., replayed: _Optional[_Union[ReplayOutcome, _Mapping]] = ..., changed: _Optional[_Union[ReplayChanges, _Mapping]] = ..., rated: _Optional[int] = ..., forced: _Optional[int] = ..., unjudged: _Optional[int] = ..., torn: _Optional[int] = ..., histogram: _Optional[_Iterable[int]] = ...) -> None: ...

class ListQuestionsRequest(_message.Message):
    __slots__ = ("limit", "collection")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    limit: int
    collection: str
    def __init__(self, limit: _Optional[int] = ..., collection: _Optional[str] = ...) -> None: ...

class LoggedQuestion(_message.Message):
    __slots__ = ("id", "question", "time", "p_benefit", "threshold", "action")
    ID_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    P_BENEFIT_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    id: str
    question: str
    time: str
    p_benefit: float
    threshold: float
    action: _gate_pb2.GateAction
    def __init__(self, id: _Optional[str] = ..., question: _Optional[str] = ..., time: _Optional[str] = ..., p_benefit: _Optional[float] = ..., threshold: _Optional[float] = ..., action: _Optional[_Union[_gate_pb2.GateAction, str]] = ...) -> None: ...

class ListQuestionsResponse(_message.Message):
    __slots__ = ("questions", "total", "corrected")
    QUESTIONS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CORRECTED_FIELD_NUMBER: _ClassVar[int]
    questions: _containers.RepeatedCompositeFieldContainer[LoggedQuestion]
    total: int
    corrected: int
    def __init__(self, questions: _Optional[_Iterable[_Union[LoggedQuestion, _Mapping]]] = ..., total: _Optional[int] = ..., corrected: _Optional[int] = ...) -> None: ...

class CountExpertsRequest(_message.Message):
    __slots__ = ("periods", "collection")
    PERIODS_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    periods: int
    collection: str
    def __init__(self, periods: _Optional[int] = ..., collection: _Optional[str] = ...) -> None: ...

class ExpertCount(_message.Message):
    __slots__ = ("start", "domain", "expert", "decisions", "retrievals")
    START_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    EXPERT_FIELD_NUMBER: _ClassVar[int]
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    RETRIEVALS_FIELD_NUMBER: _ClassVar[int]
    start: str
    domain: str
    expert: str
    decisions: int
    retrievals: int
    def __init__(self, start: _Optional[str] = ..., domain: _Optional[str] = ..., expert: _Optional[str] = ..., decisions: _Optional[int] = ..., retrievals: _Optional[int] = ...) -> None: ...

class CountExpertsResponse(_message.Message):
    __slots__ = ("period_s", "counts")
    PERIOD_S_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    period_s: int
    counts: _containers.RepeatedCompositeFieldContainer[ExpertCount]
    def __init__(self, period_s: _Optional[int] = ..., counts: _Optional[_Iterable[_Union[ExpertCount, _Mapping]]] = ...) -> None: ...
