from expertrag.v1 import conversation_pb2 as _conversation_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GateMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_MODE_UNSPECIFIED: _ClassVar[GateMode]
    GATE_MODE_AUTO: _ClassVar[GateMode]
    GATE_MODE_NEVER: _ClassVar[GateMode]
    GATE_MODE_ALWAYS: _ClassVar[GateMode]
    GATE_MODE_STRICT: _ClassVar[GateMode]

class GateAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GATE_ACTION_UNSPECIFIED: _ClassVar[GateAction]
    GATE_ACTION_CLOSED_BOOK: _ClassVar[GateAction]
    GATE_ACTION_RETRIEVE: _ClassVar[GateAction]

class QuestionScope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    QUESTION_SCOPE_UNSPECIFIED: _ClassVar[QuestionScope]
    QUESTION_SCOPE_LOOKUP: _ClassVar[QuestionScope]
    QUESTION_SCOPE_LIST: _ClassVar[QuestionScope]
    QUESTION_SCOPE_COUNT: _ClassVar[QuestionScope]
    QUESTION_SCOPE_AGGREGATE: _ClassVar[QuestionScope]
    QUESTION_SCOPE_EXISTS: _ClassVar[QuestionScope]
    QUESTION_SCOPE_COMPARE: _ClassVar[QuestionScope]
    QUESTION_SCOPE_LATEST: _ClassVar[QuestionScope]
    QUESTION_SCOPE_TWO_HOPS: _ClassVar[QuestionScope]
    QUESTION_SCOPE_DOCUMENT: _ClassVar[QuestionScope]
GATE_MODE_UNSPECIFIED: GateMode
GATE_MODE_AUTO: GateMode
GATE_MODE_NEVER: GateMode
GATE_MODE_ALWAYS: GateMode
GATE_MODE_STRICT: GateMode
GATE_ACTION_UNSPECIFIED: GateAction
GATE_ACTION_CLOSED_BOOK: GateAction
GATE_ACTION_RETRIEVE: GateAction
QUESTION_SCOPE_UNSPECIFIED: QuestionScope
QUESTION_SCOPE_LOOKUP: QuestionScope
QUESTION_SCOPE_LIST: QuestionScope
QUESTION_SCOPE_COUNT: QuestionScope
QUESTION_SCOPE_AGGREGATE: QuestionScope
QUESTION_SCOPE_EXISTS: QuestionScope
QUESTION_SCOPE_COMPARE: QuestionScope
QUESTION_SCOPE_LATEST: QuestionScope
QUESTION_SCOPE_TWO_HOPS: QuestionScope
QUESTION_SCOPE_DOCUMENT: QuestionScope

class GatePolicy(_message.Message):
    __slots__ = ("mode", "threshold")
    MODE_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    mode: GateMode
    threshold: float
    def __init__(self, mode: _Optional[_Union[GateMode, str]] = ..., threshold: _Optional[float] = ...) -> None: ...

class GateDecision(_message.Message):
    __slots__ = ("action", "mode", "reason", "p_benefit", "p_correct_closed_book", "threshold", "signals", "calibrator", "p_correct_retrieval", "contributions", "warnings", "id", "domains", "expert", "rewritten_question", "pattern", "scope")
    class SignalsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class ContributionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    class DomainsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ACTION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    P_BENEFIT_FIELD_NUMBER: _ClassVar[int]
    P_CORRECT_CLOSED_BOOK_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    CALIBRATOR_FIELD_NUMBER: _ClassVar[int]
    P_CORRECT_RETRIEVAL_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    DOMAINS_FIELD_NUMBER: _ClassVar[int]
    EXPERT_FIELD_NUMBER: _ClassVar[int]
    REWRITTEN_QUESTION_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    action: GateAction
    mode: GateMode
    reason: str
    p_benefit: float
    p_correct_closed_book: float
    threshold: float
    signals: _containers.ScalarMap[str, float]
    calibrator: str
    p_correct_retrieval: float
    contributions: _containers.ScalarMap[str, float]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    id: str
    domains: _containers.ScalarMap[str, float]
    expert: str
    rewritten_question: str
    pattern: str
    scope: QuestionScope
    def __init__(self, action: _Optional[_Union[GateAction, str]] = ..., mode: _Optional[_Union[GateMode, str]] = ..., reason: _Optional[str] = ..., p_benefit: _Optional[float] = ..., p_correct_closed_book: _Optional[float] = ..., threshold: _Optional[float] = ..., signals: _Optional[_Mapping[str, float]] = ..., calibrator: _Optional[str] = ..., p_correct_retrieval: _Optional[float] = ..., contributions: _Optional[_Mapping[str, float]] = ..., warnings: _Optional[_Iterable[str]] = ..., id: _Optional[str] = ..., domains: _Optional[_Mapping[str, float]] = ..., expert: _Optional[str] = ..., rewritten_question: _Optional[str] = ..., pattern: _Optional[str] = ..., scope: _Optional[_Union[QuestionScope, str]] = ...) -> None: ...

class DecideRequest(_message.Message):
    __slots__ = ("query", "policy", "domain", "collection", "history")
    QUERY_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    DOMAIN_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    query: str
    policy: GatePolicy
    domain: str
    collection: str
    history: _containers.RepeatedCompositeFieldContainer[_conversation_pb2.Turn]
    def __init__(self, query: _Optional[str] = ..., policy: _Optional[_Union[GatePolicy, _Mapping]] = ..., domain: _Optional[str] = ..., collection: _Optional[str] = ..., history: _Optional[_Iterable[_Union[_conversation_pb2.Turn, _Mapping]]] = ...) -> None: ...

class DecideResponse(_message.Message):
    __slots__ = ("decision",)
    DECISION_FIELD_NUMBER: _ClassVar[int]
    decision: GateDecision
    def __init__(self, decision: _Optional[_Union[GateDecision, _Mapping]] = ...) -> None: ...

class ReportFeedbackRequest(_message.Message):
    __slots__ = ("answer_id", "helpful", "correct_answer", "query")
    ANSWER_ID_FIELD_NUMBER: _ClassVar[int]
    HELPFUL_FIELD_NUMBER: _ClassVar[int]
    CORRECT_ANSWER_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    answer_id: str
    helpful: bool
    correct_answer: str
    query: str
    def __init__(self, answer_id: _Optional[str] = ..., helpful: bool = ..., correct_answer: _Optional[str] = ..., query: _Optional[str] = ...) -> None: ...

class ReportFeedbackResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
