"""Deadlines and cancellation stop the work, not only the call."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from serving_fixtures import Background, PacedGenerator, StartServer, wait_until

from expertrag.api.errors import DeadlineExceeded
from expertrag.client import AsyncClient, Client
from expertrag.serving.server import Server
from expertrag.v1 import answer_pb2, answer_pb2_grpc

STEP_S = 0.01


@pytest.fixture
def slow(start_server: StartServer, paced: PacedGenerator) -> Iterator[Server]:
    """A server whose answers take minutes."""
    paced.step_s, paced.words = STEP_S, 10_000
    server = start_server(default_deadline_s=0.3, max_deadline_s=0.6)
    yield server
    assert wait_until(lambda: server.running == 0) < 1
    assert paced.open_sessions == 0


def test_closing_a_stream_frees_the_slot(slow: Server, paced: PacedGenerator) -> None:
    with Client(slow.address) as client:
        for _ in range(5):
            events = client.stream("count", mode="never", max_tokens=4096)
            next(events)
            next(events)
            assert slow.running == 1
            events.close()
            assert wait_until(lambda: slow.running == 0) < 0.1 + 2 * STEP_S
            assert paced.open_sessions == 0


def test_closing_an_asynchronous_stream_frees_the_slot(
    slow: Server, background: Background
) -> None:
    async def scenario() -> None:
        async with AsyncClient(slow.address) as client:
            events = client.stream("count", mode="never", max_tokens=4096)
            await anext(events)
            await anext(events)
            assert slow.running == 1
            await events.aclose()

    background.run(scenario())
    assert wait_until(lambda: slow.running == 0) < 0.1 + 2 * STEP_S


def test_a_client_that_dies_frees_the_slot(slow: Server) -> None:
    client = Client(slow.address)
    events = client.stream("count", mode="never", max_tokens=4096)
    next(events)
    client.close()
    assert wait_until(lambda: slow.running == 0) < 0.5
    with pytest.raises(Exception, match=r".*"):
        list(events)


def test_the_clients_deadline_ends_the_work(slow: Server) -> None:
    with Client(slow.address) as client:
        with pytest.raises(DeadlineExceeded):
            client.answer("count", mode="never", max_tokens=4096, timeout=0.1)
        assert wait_until(lambda: slow.running == 0) < 0.2
        with pytest.raises(DeadlineExceeded):
            list(client.stream("count", mode="never", max_tokens=4096, timeout=0.1))


def test_embedding_stops_at_the_deadline(slow: Server) -> None:
    texts = ["word " * 6_200] * 256
    with Client(slow.address) as client, pytest.raises(DeadlineExceeded):
        client.embed(texts, timeout=0.3)
    assert wait_until(lambda: slow.running == 0) < 3  # all of it would take a minute


@pytest.mark.parametrize(("timeout", "deadline"), [(None, "0.3 s"), (30, "0.6 s")])
def test_the_servers_own_deadlines(slow: Server, timeout: float | None, deadline: str) -> None:
    question = answer_pb2.Question(text="count", policy={"mode": "GATE_MODE_NEVER"})
    question.sampling.max_tokens = 4096
    with grpc.insecure_channel(slow.address) as channel:
        stub = answer_pb2_grpc.AnswerServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Answer(answer_pb2.AnswerRequest(question=question), timeout=timeout)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert f"not done within {deadline}; allow more time" in str(caught.value.details())


def test_many_short_deadlines_free_all_slots(slow: Server) -> None:
    with Client(slow.address) as client:
        for number in range(30):
            with pytest.raises(DeadlineExceeded):
                client.answer("count", mode="never", max_tokens=4096, timeout=0.002 * (1 + number))
