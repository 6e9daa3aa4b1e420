"""Every method over a real connection, and the fields of its response."""

from __future__ import annotations

import grpc
import pytest
from serving_fixtures import PacedGenerator, trailing_of

from expertrag.api.events import (
    CitationEvent,
    DeltaEvent,
    DoneEvent,
    GateEvent,
    PassagesEvent,
    UsageEvent,
)
from expertrag.api.types import FinishReason, GateAction
from expertrag.client import Client
from expertrag.v1 import answer_pb2, answer_pb2_grpc


def test_answer_retrieves_and_reports(client: Client) -> None:
    answer = client.answer("How often does a checkpoint run?", mode="always", k=3)
    assert answer.text == "".join(f"{number} " for number in range(20))
    assert answer.decision.action is GateAction.RETRIEVE
    assert answer.passages[0].document_id == "database/checkpoints"
    assert answer.passages[0].metadata == {"year": 2020, "lang": "en"}
    assert answer.usage.retrieval_calls == 1
    assert answer.usage.lm_calls == 1
    assert answer.usage.completion_tokens == 20
    assert answer.generation == 1
    assert answer.model == "paced"
    assert answer.finish_reason is FinishReason.STOP
    assert answer.from_documents


def test_closed_book_has_no_generation(client: Client) -> None:
    answer = client.answer("What is two and two?", mode="never", max_tokens=4)
    assert answer.passages == ()
    assert answer.generation is None
    assert answer.support is None
    assert answer.finish_reason is FinishReason.LENGTH
    assert answer.usage.completion_tokens == 4
    assert (answer.from_documents, answer.unsupported_reason) == (False, "")


def test_an_answer_without_passages_is_not_from_documents(client: Client) -> None:
    answer = client.answer("When are roses pruned?", mode="always", filter={"year": 1066})
    assert answer.decision.action is GateAction.RETRIEVE
    assert (answer.passages, answer.generation) == ((), 1)
    assert not answer.abstained and not answer.from_documents


def test_an_abstention_is_not_from_documents(client: Client) -> None:
    answer = client.answer("When are roses pruned?", mode="strict")
    assert answer.abstained and answer.passages
    assert not answer.from_documents


def test_stream_events_come_in_order(client: Client) -> None:
    order = [GateEvent, PassagesEvent, DeltaEvent, CitationEvent, UsageEvent, DoneEvent]
    events = list(client.stream("When are roses pruned?", mode="always"))
    ranks = [order.index(type(event)) for event in events]
    assert ranks == sorted(ranks)
    assert ranks[0] == 0
    assert ranks[-2:] == [4, 5]


def test_pieces_are_joined(client: Client, paced: PacedGenerator) -> None:
    paced.words = 400
    deltas = [
        e for e in client.stream("count", mode="never", max_tokens=400) if isinstance(e, DeltaEvent)
    ]
    assert "".join(delta.text for delta in deltas) == "".join(f"{n} " for n in range(400))
    assert len(deltas) < 100


def test_pieces_of_a_slow_model_are_not_delayed(client: Client, paced: PacedGenerator) -> None:
    paced.step_s, paced.words = 0.06, 5
    deltas = [e for e in client.stream("count", mode="never") if isinstance(e, DeltaEvent)]
    assert len(deltas) == 5


def test_seq_counts_from_zero(channel: grpc.Channel) -> None:
    request = answer_pb2.StreamAnswerRequest(
        question=answer_pb2.Question(text="When to cut roses?")
    )
    stub = answer_pb2_grpc.AnswerServiceStub(channel)
    sequence = [response.seq for response in stub.StreamAnswer(request, timeout=30)]
    assert sequence == list(range(len(sequence)))


def test_unset_fields_take_the_documented_defaults(channel: grpc.Channel) -> None:
    question = answer_pb2.Question(text="checkpoint", policy={"mode": "GATE_MODE_ALWAYS"})
    stub = answer_pb2_grpc.AnswerServiceStub(channel)
    response = stub.Answer(answer_pb2.AnswerRequest(question=question), timeout=30)
    assert len(response.passages) == 5


def test_retrieve(client: Client) -> None:
    result = client.retrieve("paid leave of employees", k=2)
    assert len(result.passages) == 2
    assert result.passages[0].document_id == "office/leave"
    assert result.generation == 1
    assert result.vectors_scanned > 0


def test_filter_and_domain_are_pushed_down(client: Client) -> None:
    result = client.retrieve(
        "paid leave", k=18, filter={"year": {"$gte": 2024}, "domain": "garden"}
    )
    assert {passage.document_id for passage in result.passages} == {"garden/apples", "garden/beans"}


def test_decide(client: Client) -> None:
    decision = client.decide("How often does a checkpoint run?")
    assert decision.reason
    assert decision.signals
    assert decision.threshold is not None
    forced = client.decide("anything", mode="never")
    assert forced.action is GateAction.CLOSED_BOOK


def test_embed(client: Client) -> None:
    query, twin = client.embed(["a rose", "a rose"], role="query")
    assert query == twin
    assert len(query) == 384
    assert sum(value * value for value in query) == pytest.approx(1, abs=1e-5)


def test_embeddings_with_the_tokens_that_were_read(client: Client) -> None:
    texts = ["hello world", "word " * 1_000]
    found = client.embeddings(texts)
    assert found.vectors == client.embed(texts)
    assert found.tokens == 4 + 256  # the second one is truncated
    assert found.model == client.info().embedder


def test_stats_and_info(client: Client) -> None:
    stats = client.stats()
    assert stats.documents == 18
    assert stats.domains == {"database": 6, "garden": 6, "office": 6}
    info = client.info()
    assert info.index == stats
    assert info.model == "paced"
    assert info.max_k == 1000


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("job-17:a", True), ("x" * 64, True), ("x" * 65, False), ("a b", False), ("", False)],
)
def test_request_id_is_echoed_or_made(channel: grpc.Channel, sent: str, kept: bool) -> None:
    request = answer_pb2.AnswerRequest(question=answer_pb2.Question(text=" "))
    stub = answer_pb2_grpc.AnswerServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Answer(request, timeout=10, metadata=(("x-request-id", sent),))
    received = trailing_of(caught.value)["x-request-id"]
    assert (received == sent) is kept
    assert received
