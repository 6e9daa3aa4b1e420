"""Values survive the wire: every field, set and unset."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from expertrag.api import decisions, documents, events, tables, types
from expertrag.api import rerank as rerank_types
from expertrag.api.contrast import Contrast
from expertrag.api.embed import Embeddings, EmbedRequest
from expertrag.api.errors import InvalidArgument, ServerError
from expertrag.api.info import IndexStats, ServerInfo
from expertrag.api.logprobs import TokenLogprob, TopLogprob
from expertrag.api.turns import Turn
from expertrag.v1 import (
    answer_pb2,
    audit_pb2,
    document_pb2,
    embed_pb2,
    gate_pb2,
    index_pb2,
    info_pb2,
    rerank_pb2,
    retrieve_pb2,
)
from expertrag.wire import answer, common, gate, index
from expertrag.wire import events as wire_events
from expertrag.wire.common import ENUMS
from expertrag.wire.embed import (
    embed_from_proto,
    embed_to_proto,
    embeddings_from_proto,
    embeddings_to_proto,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
INT = st.integers(0, 2**31 - 1)
UNIT = st.floats(0, 1)
SCALAR = TEXT | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.booleans()
METADATA = st.dictionaries(TEXT, SCALAR | st.lists(SCALAR, max_size=3), max_size=3)

st.register_type_strategy(str, TEXT)
st.register_type_strategy(int, INT)
st.register_type_strategy(float, UNIT)


def values(kind: type[Any], **fields: Any) -> Any:
    """Strategy for a dataclass, with strategies for its free-form fields."""
    return st.builds(kind, **fields)


def optional(strategy: Any) -> Any:
    """Strategy with None."""
    return st.none() | strategy


DECISIONS = values(
    types.GateDecision,
    p_benefit=optional(UNIT),
    p_correct_closed_book=optional(UNIT),
    threshold=optional(UNIT),
    signals=st.dictionaries(TEXT, UNIT, max_size=3),
    rewritten_question=TEXT,
    scope=optional(st.sampled_from(types.QuestionScope)),
)
CELLS = optional(
    TEXT | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans()
)
TABLES = values(
    tables.AnswerTable,
    columns=st.lists(TEXT, max_size=3).map(tuple),
    rows=st.lists(st.lists(CELLS, max_size=3).map(tuple), max_size=3).map(tuple),
    sources=st.lists(st.lists(TEXT, max_size=2).map(tuple), max_size=3).map(tuple),
    query=TEXT,
)
COVERAGES = values(tables.Coverage, left_out=INT, complete=optional(st.booleans()), reason=TEXT)
PASSAGES = st.lists(
    values(types.Passage, metadata=METADATA, domain=optional(TEXT), rerank_score=optional(UNIT)),
    max_size=2,
)
USAGES = values(types.Usage, stage_seconds=st.dictionaries(TEXT, UNIT, max_size=3))
CITATIONS = values(types.Citation)
LOGPROBS = st.lists(
    values(TokenLogprob, top=st.lists(values(TopLogprob), max_size=2).map(tuple)),
    max_size=2,
).map(tuple)
WRITTEN = TEXT.filter(str.strip)
CONSTRAINTS = (
    values(types.Constraint, regex=WRITTEN)
    | values(types.Constraint, json_schema=METADATA)
    | values(types.Constraint, choices=st.lists(WRITTEN, min_size=1, max_size=3).map(tuple))
    | values(types.Constraint, grammar=WRITTEN)
)
SAMPLINGS = values(
    types.Sampling,
    constraint=optional(CONSTRAINTS),
    logprobs=optional(st.integers(0, 20)),
    contrast=optional(values(Contrast)),
)
HISTORIES = st.lists(values(Turn), max_size=3).map(tuple)
FILTERS = st.dictionaries(TEXT, SCALAR | st.dictionaries(TEXT, st.lists(SCALAR, max_size=3)))
INFOS = values(documents.DocumentInfo, metadata=METADATA, domain=optional(TEXT))
STATS = values(IndexStats, domains=st.dictionaries(TEXT, INT, max_size=3))

OUTCOMES = values(
    decisions.ReplayOutcome,
    lm_calls=optional(UNIT),
    retrieval_calls=optional(UNIT),
    seconds=optional(UNIT),
    stage_seconds=st.dictionaries(TEXT, UNIT, max_size=3),
)
REPLAYS = values(
    decisions.Replay,
    threshold=optional(UNIT),
    gates=st.lists(TEXT, max_size=2).map(tuple),
    logged=OUTCOMES,
    replayed=OUTCOMES,
    basis=st.just(decisions.BASIS),
    histogram=st.lists(INT, max_size=3).map(tuple),
)
QUESTIONS = st.lists(values(decisions.LoggedQuestion), max_size=3).map(tuple)
COUNTS = st.lists(values(decisions.ExpertCount), max_size=3).map(tuple)
POLICIES = values(decisions.ReplayRequest, threshold=UNIT, target_rate=st.none()) | values(
    decisions.ReplayRequest, threshold=st.none(), target_rate=UNIT
)

ASKS = values(
    types.DecideRequest, domain=optional(TEXT), threshold=optional(UNIT), history=HISTORIES
)


def by_name(message: Any, kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """Return the conversions of a message whose fields are those of the value."""
    return partial(common.request_of, message), partial(common.value_of, kind)


CASES: list[tuple[Callable[[Any], Any], Callable[[Any], Any], Any]] = [
    (*by_name(gate_pb2.GateDecision, types.GateDecision), DECISIONS),
    (gate.decide_to_proto, gate.decide_from_proto, ASKS),
    (*by_name(audit_pb2.ReplayRequest, decisions.ReplayRequest), POLICIES),
    (*by_name(audit_pb2.ReplayResponse, decisions.Replay), REPLAYS),
    (
        *by_name(audit_pb2.ListQuestionsRequest, decisions.ListQuestionsRequest),
        values(decisions.ListQuestionsRequest),
    ),
    (
        *by_name(audit_pb2.ListQuestionsResponse, decisions.LoggedQuestions),
        values(decisions.LoggedQuestions, questions=QUESTIONS),
    ),
    (
        *by_name(audit_pb2.CountExpertsRequest, decisions.CountExpertsRequest),
        values(decisions.CountExpertsRequest),
    ),
    (
        *by_name(audit_pb2.CountExpertsResponse, decisions.ExpertCounts),
        values(decisions.ExpertCounts, counts=COUNTS),
    ),
    (partial(common.message_of, answer_pb2.Usage), answer.usage_from_proto, USAGES),
    (
        answer.question_to_proto,
        answer.question_from_proto,
        values(
            types.AnswerRequest,
            filter=FILTERS,
            domain=optional(TEXT),
            threshold=optional(UNIT),
            sampling=SAMPLINGS,
            history=HISTORIES,
            scope=optional(st.sampled_from(types.QuestionScope)),
            as_of=TEXT,
        ),
    ),
    (
        answer.answer_to_proto,
        answer.answer_from_proto,
        values(
            types.Answer,
            decision=DECISIONS,
            passages=PASSAGES.map(tuple),
            citations=st.lists(CITATIONS, max_size=2).map(tuple),
            usage=USAGES,
            p_sufficient=optional(UNIT),
            logprobs=LOGPROBS,
            from_documents=st.booleans(),
            unsupported_reason=TEXT,
            table=optional(TABLES),
            coverage=optional(COVERAGES),
        ),
    ),
    (
        *by_name(retrieve_pb2.RetrieveRequest, types.RetrieveRequest),
        values(types.RetrieveRequest, filter=FILTERS, history=HISTORIES),
    ),
    (
        *by_name(retrieve_pb2.RetrieveResponse, types.RetrieveResult),
        values(types.RetrieveResult, passages=PASSAGES.map(tuple), rewritten_query=TEXT),
    ),
    (
        *by_name(rerank_pb2.RerankRequest, rerank_types.RerankRequest),
        values(rerank_types.RerankRequest, texts=st.lists(TEXT, max_size=3).map(tuple)),
    ),
    (
        *by_name(rerank_pb2.RerankResponse, rerank_types.RerankResult),
        values(
            rerank_types.RerankResult,
            ranks=st.lists(values(rerank_types.Rank, text=TEXT), max_size=3).map(tuple),
        ),
    ),
    (
        index.document_to_proto,
        lambda request: common.value_of(types.DocumentInput, request.document),
        values(types.DocumentInput, metadata=METADATA, domain=optional(TEXT)),
    ),
    (
        *by_name(document_pb2.GetDocumentRequest, documents.GetDocumentRequest),
        values(documents.GetDocumentRequest, end=optional(INT)),
    ),
    (
        *by_name(document_pb2.ListDocumentsRequest, documents.ListDocumentsRequest),
        values(documents.ListDocumentsRequest, filter=FILTERS),
    ),
    (
        *by_name(document_pb2.ListChunksRequest, documents.ListChunksRequest),
        values(documents.ListChunksRequest),
    ),
    (
        *by_name(document_pb2.GetDocumentResponse, documents.DocumentText),
        values(documents.DocumentText, document=INFOS),
    ),
    (
        *by_name(document_pb2.ListDocumentsResponse, documents.DocumentPage),
        values(documents.DocumentPage, documents=st.lists(INFOS, max_size=2).map(tuple)),
    ),
    (
        *by_name(document_pb2.ListChunksResponse, documents.ChunkPage),
        values(
            documents.ChunkPage,
            chunks=st.lists(values(documents.DocumentChunk), max_size=2).map(tuple),
        ),
    ),
    (
        *by_name(document_pb2.ListSkippedRequest, documents.ListSkippedRequest),
        values(documents.ListSkippedRequest),
    ),
    (
        *by_name(document_pb2.ListSkippedResponse, documents.SkippedPage),
        values(
            documents.SkippedPage,
            files=st.lists(values(documents.SkippedFile), max_size=2).map(tuple),
        ),
    ),
    (*by_name(index_pb2.IndexStats, IndexStats), STATS),
    (*by_name(info_pb2.InfoResponse, ServerInfo), values(ServerInfo, index=optional(STATS))),
    (
        *by_name(gate_pb2.ReportFeedbackRequest, types.Feedback),
        values(
            types.Feedback,
            helpful=optional(st.booleans()),
            correct_answer=optional(TEXT),
            query=optional(TEXT),
        ),
    ),
]
EVENTS = st.one_of(
    values(events.GateEvent, decision=DECISIONS),
    values(events.ProgressEvent, seconds_left=optional(UNIT)),
    values(events.PassagesEvent, passages=PASSAGES.map(tuple)),
    values(events.TableEvent, table=TABLES, coverage=COVERAGES),
    values(events.DeltaEvent, logprobs=LOGPROBS),
    values(events.CitationEvent, citation=CITATIONS),
    values(events.UsageEvent, usage=USAGES),
    values(
        events.DoneEvent,
        support=optional(UNIT),
        model=TEXT,
        p_sufficient=optional(UNIT),
        from_documents=st.booleans(),
        unsupported_reason=TEXT,
    ),
)


@pytest.mark.parametrize(
    ("to_proto", "from_proto", "strategy"), CASES, ids=map(str, range(len(CASES)))
)
def test_round_trips(
    to_proto: Callable[[Any], Any], from_proto: Callable[[Any], Any], strategy: Any
) -> None:
    @settings(max_examples=30, deadline=None)
    @given(strategy)
    def check(value: Any) -> None:
        message = to_proto(value)
        assert from_proto(type(message).FromString(message.SerializeToString())) == value

    check()


@settings(max_examples=60, deadline=None)
@given(EVENTS, INT)
def test_events_round_trip(event: events.AnswerEvent, seq: int) -> None:
    message = wire_events.event_to_proto(seq, event)
    assert message.seq == seq
    assert wire_events.event_from_proto(message) == event


def test_upsert_and_delete_reports_keep_their_fields() -> None:
    items = (types.ItemStatus("a"), types.ItemStatus("b", "too long; split it"))
    upsert = types.UpdateReport(3, added=1, changed=2, unchanged=3, removed=0, items=items)
    assert index.upsert_from_proto(index.upsert_to_proto(upsert)) == upsert
    delete = types.UpdateReport(3, added=0, changed=0, unchanged=0, removed=4, items=items)
    assert index.delete_from_proto(index.delete_to_proto(delete)) == delete


def test_items_that_do_not_fit_are_counted() -> None:
    unknown = [types.ItemStatus(f"{number:01000d}", "unknown") for number in range(3_000)]
    stored = [types.ItemStatus(f"{number:01000d}") for number in range(6_000)]
    report = types.UpdateReport(2, 6_000, 0, 0, 0, (*stored, *unknown))
    message = index.upsert_to_proto(report)
    assert message.ByteSize() < 8 * 1024 * 1024
    got = index.upsert_from_proto(message)
    assert got.added == 6_000
    assert got.items_omitted == 9_000 - len(got.items) > 0
    assert got.items[-3_000:] == tuple(unknown)
    assert got.items[:-3_000] == tuple(stored[: len(got.items) - 3_000])


def test_the_id_of_a_decision_survives_although_not_compared() -> None:
    action, mode = types.GateAction.RETRIEVE, types.GateMode.AUTO
    decision = types.GateDecision(action, mode, "it pays", id="0" * 32)
    assert (
        common.value_of(types.GateDecision, common.message_of(gate_pb2.GateDecision, decision)).id
        == "0" * 32
    )
    assert decision == dataclasses.replace(decision, id="1" * 32)


def test_every_enum_value_has_a_number() -> None:
    for enum, table in ENUMS.items():
        for value in enum:
            assert table.from_proto(table.to_proto(value)) is value


def test_whole_numbers_stay_whole() -> None:
    struct = common.struct_to_proto("filter", {"year": 2024, "half": 0.5, "deep": {"in": [1, 2]}})
    back = common.struct_from_proto(struct)
    assert repr(back["year"]) == "2024"
    assert back == {"year": 2024, "half": 0.5, "deep": {"in": [1, 2]}}


@pytest.mark.parametrize("value", [None, [1, None], {"a": None}, [{"a": [None]}]])
def test_metadata_holds_no_null(value: object) -> None:
    struct = common.struct_to_proto("metadata", {"key": value})
    with pytest.raises(InvalidArgument, match="'key' holds null"):
        common.metadata_from_proto(struct)


def test_invalid_messages_are_rejected() -> None:
    with pytest.raises(InvalidArgument, match="unknown number 7"):
        embed_from_proto(embed_pb2.EmbedRequest(texts=["a"], role=7))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="unknown number 0"):
        ENUMS[types.FinishReason].from_proto(0)
    with pytest.raises(ServerError, match="unknown event"):
        wire_events.event_from_proto(answer_pb2.StreamAnswerResponse(seq=1))


def test_unset_sampling_is_the_default_and_zero_is_zero() -> None:
    unset = answer.question_from_proto(answer_pb2.Question(text="x"))
    assert unset.sampling == types.Sampling()
    message = answer_pb2.Question(text="x", sampling=answer_pb2.Sampling(frequency_penalty=0))
    assert answer.question_from_proto(message).sampling.frequency_penalty == 0


def test_stages_are_in_the_order_of_the_work() -> None:
    seconds = dict.fromkeys(["a_new_stage", *reversed(types.STAGES)], 0.5)
    usage = answer.usage_from_proto(answer_pb2.Usage(stage_seconds=seconds))
    assert list(usage.stage_seconds) == [*types.STAGES, "a_new_stage"]


def test_embed_roles() -> None:
    for role in ("document", "query"):
        call = EmbedRequest(["a", "b"], role, "law")
        assert embed_from_proto(embed_to_proto(call)) == call
    assert embed_from_proto(embed_pb2.EmbedRequest(texts=["a"])).role == "document"


def test_embeddings() -> None:
    sent = Embeddings([[0.5, 0.25], [1.0, 0.0]], "a-model", 12)
    message = embeddings_to_proto(sent)
    assert (message.dimension, message.tokens) == (2, 12)
    assert embeddings_from_proto(message) == sent
    of_an_older_server = embed_pb2.EmbedResponse(model="a-model")
    assert embeddings_from_proto(of_an_older_server) == Embeddings([], "a-model", 0)


def test_a_text_is_cut_unless_the_message_says_no() -> None:
    message = rerank_pb2.RerankRequest(query="q", texts=["a"])
    assert common.value_of(rerank_types.RerankRequest, message).truncate
    message.truncate = False
    assert not common.value_of(rerank_types.RerankRequest, message).truncate


def test_messages_have_all_fields_of_the_values() -> None:
    """Messages have the same field names as values, except for nesting in the question."""
    pairs: list[tuple[type[Any], Any]] = [
        (types.Passage, retrieve_pb2.Passage),
        (types.Sampling, answer_pb2.Sampling),
        (types.Usage, answer_pb2.Usage),
        (types.RetrieveResult, retrieve_pb2.RetrieveResponse),
        (rerank_types.RerankResult, rerank_pb2.RerankResponse),
        (rerank_types.Rank, rerank_pb2.Rank),
        (types.Citation, answer_pb2.Citation),
        (types.Answer, answer_pb2.AnswerResponse),
        (events.ProgressEvent, answer_pb2.Progress),
        (events.TableEvent, answer_pb2.TableEvent),
        (tables.AnswerTable, answer_pb2.AnswerTable),
        (tables.Coverage, answer_pb2.Coverage),
        (events.DoneEvent, answer_pb2.Done),
        (IndexStats, index_pb2.IndexStats),
        (ServerInfo, info_pb2.InfoResponse),
        (types.GateDecision, gate_pb2.GateDecision),
        (types.Feedback, gate_pb2.ReportFeedbackRequest),
    ]
    for kind, message in pairs:
        names = {field.name for field in dataclasses.fields(kind)}
        assert names == {field.name for field in message.DESCRIPTOR.fields}
