"""Answers with a table over gRPC: whole, streamed, and to clients made before tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import grpc
import pytest
from serving_fixtures import Background, StartServer
from table_fixtures import COVERAGE, QUERY, TABLE, TEXT, CountingPipeline, OpenCounting

from expertrag.api.errors import InvalidArgument
from expertrag.api.events import ProgressEvent, TableEvent
from expertrag.api.folding import fold
from expertrag.api.types import QuestionScope
from expertrag.client import AsyncClient, Client
from expertrag.serving.server import Server
from expertrag.v1 import answer_pb2
from expertrag.v1.answer_pb2_grpc import AnswerServiceStub


@pytest.fixture
def counting(open_counting: OpenCounting) -> CountingPipeline:
    return open_counting()


@pytest.fixture
def server(start_server: StartServer, counting: CountingPipeline) -> Server:
    return start_server(lambda: counting)


def test_an_answer_has_its_table(client: Client) -> None:
    answer = client.answer("How many?")
    assert (answer.text, answer.table, answer.coverage) == (TEXT, TABLE, COVERAGE)
    assert (answer.query, answer.complete) == (QUERY, None)


def test_a_stream_has_progress_and_table_in_their_places(client: Client) -> None:
    events = list(client.stream("How many?"))
    kinds = [kind.__name__ for kind, _ in groupby(events, type)]
    assert kinds == [
        *("GateEvent", "ProgressEvent", "PassagesEvent", "TableEvent"),
        *("DeltaEvent", "UsageEvent", "DoneEvent"),
    ]
    assert [event for event in events if isinstance(event, TableEvent)] == [
        TableEvent(TABLE, COVERAGE)
    ]
    steps = [event for event in events if isinstance(event, ProgressEvent)]
    assert steps == [ProgressEvent(0, 40), ProgressEvent(20, 40, 2.0), ProgressEvent(40, 40, 0.0)]
    assert fold(events).table == TABLE


def test_a_client_made_before_tables_gets_the_events_that_it_knows(channel: grpc.Channel) -> None:
    request = answer_pb2.StreamAnswerRequest(question=answer_pb2.Question(text="How many?"))
    events = list(AnswerServiceStub(channel).StreamAnswer(request))
    kinds = [kind for kind, _ in groupby(event.WhichOneof("event") for event in events)]
    assert kinds == ["gate", "passages", "delta", "usage", "done"]
    assert [event.seq for event in events] == list(range(len(events)))


@pytest.mark.parametrize("scope", [QuestionScope.LIST, "list"])
def test_scope_and_day_arrive(
    client: Client, counting: CountingPipeline, scope: QuestionScope | str
) -> None:
    answer = client.answer("Which?", scope=scope, as_of="2026-01-31")
    assert answer.decision.scope is QuestionScope.LIST
    client.answer("Which?")
    assert counting.days == ["2026-01-31", ""]


def test_the_asynchronous_client_does_the_same(server: Server, background: Background) -> None:
    async def ask() -> None:
        async with AsyncClient(server.address) as client:
            answer = await client.answer("Which?", scope="exists")
            assert (answer.table, answer.decision.scope) == (TABLE, QuestionScope.EXISTS)
            events = [event async for event in client.stream("Which?")]
            assert fold(events).table == TABLE

    background.run(ask())


@pytest.fixture(params=["server", "store"])
def either(request: pytest.FixtureRequest, client: Client) -> Iterator[Client]:
    if request.param == "server":
        yield client
        return
    with Client(request.getfixturevalue("built_store")) as local:
        yield local


def test_an_unknown_scope_is_refused_with_the_known_ones(either: Client) -> None:
    with pytest.raises(InvalidArgument, match="scope: is 'all'; choose one of lookup, list, count"):
        either.answer("How many?", scope="all")
    with pytest.raises(InvalidArgument, match="scope"):
        list(either.stream("How many?", scope="all"))


@pytest.mark.parametrize("day", ["31.1.2026", "20260131", "2026-W05-6", "2026-02-30", "today", " "])
def test_a_day_that_is_not_one_is_refused(client: Client, day: str) -> None:
    with pytest.raises(InvalidArgument, match=r"as_of: is .*; write a day such as 2026-01-31"):
        client.answer("How many?", as_of=day)
