"""What a caller may use: calls, tokens, documents and bytes per minute, and calls at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from serving_fixtures import OpenPipeline, PacedGenerator, StartServer, trailing_of, wait_until

from expertrag.api.errors import InvalidArgument, Overloaded
from expertrag.api.types import DocumentInput
from expertrag.auth import Quota, Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.config import AuthConfig, QuotaConfig
from expertrag.serving.core.inflight import InFlight
from expertrag.v1 import retrieve_pb2, retrieve_pb2_grpc


def exceeded(error: Overloaded) -> str:
    assert error.reason == "QUOTA_EXCEEDED"
    assert error.retry_after_s is not None and error.retry_after_s > 0
    return error.metadata["quota"]


def test_requests_per_minute_with_details(start_server: StartServer) -> None:
    server = start_server(quota=QuotaConfig(requests=3))
    with Client(server.address) as client:
        for _ in range(3):
            client.retrieve("roses")
        with pytest.raises(Overloaded) as caught:
            client.retrieve("roses")
        assert exceeded(caught.value) == "requests"
        assert caught.value.retry_after_s == pytest.approx(20, abs=2)
    with grpc.insecure_channel(server.address) as channel:
        stub = retrieve_pb2_grpc.RetrieveServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raw:
            stub.Retrieve(retrieve_pb2.RetrieveRequest(query="roses"))
    assert raw.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = status_pb2.Status.FromString(trailing_of(raw.value)["grpc-status-details-bin"])
    failure, retry = error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()
    assert any(detail.Unpack(failure) for detail in status.details)
    assert any(detail.Unpack(retry) for detail in status.details)
    assert failure.violations[0].subject == "local"


def test_tokens_documents_and_bytes(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path
) -> None:
    def server(quota: QuotaConfig) -> str:
        started = start_server(
            lambda: open_pipeline(store=own_store), quota=quota, allow_writes=True
        )
        return str(started.address)

    with Client(server(QuotaConfig(tokens=10))) as client:
        client.answer("When?", mode="never", max_tokens=20)  # the debt is paid later
        with pytest.raises(Overloaded) as caught:
            client.answer("When?", mode="never", max_tokens=1)
        assert exceeded(caught.value) == "tokens"
    with Client(server(QuotaConfig(bytes=1000))) as client:
        client.embed(["x" * 2000])
        with pytest.raises(Overloaded) as caught:
            client.retrieve("roses")
        assert exceeded(caught.value) == "bytes"
    with Client(server(QuotaConfig(documents=2))) as client:
        before = client.stats()
        documents = [DocumentInput(f"new/{number}", "A new text.") for number in range(5)]
        with pytest.raises(Overloaded) as caught:
            client.upsert(documents, timeout=30)
        assert exceeded(caught.value) == "documents"
        assert client.stats() == before  # nothing of a refused upload is kept


def test_an_answer_that_is_cut_off_costs_tokens(
    start_server: StartServer, paced: PacedGenerator
) -> None:
    paced.step_s, paced.words = 0.01, 1000
    server = start_server(quota=QuotaConfig(tokens=10))
    with Client(server.address) as client:
        events = client.stream("When are roses pruned?", mode="never")
        assert len([next(events) for _ in range(20)]) == 20
        events.close()
        wait_until(lambda: server.running == 0)
        with pytest.raises(Overloaded) as caught:
            client.answer("When?", mode="never", max_tokens=1)
        assert exceeded(caught.value) == "tokens"


def test_a_decision_costs_tokens(start_server: StartServer) -> None:
    server = start_server(quota=QuotaConfig(tokens=10))
    with Client(server.address) as client:
        client.decide("When are the roses and the apple trees of the garden pruned?")
        with pytest.raises(Overloaded) as caught:
            client.decide("When?")
        assert exceeded(caught.value) == "tokens"


def test_concurrent_calls_of_one_caller_do_not_count_for_another(
    start_server: StartServer, tmp_path: Path, paced: PacedGenerator
) -> None:
    paced.step_s, paced.words = 0.02, 100
    tokens = TokenFile(tmp_path / "tokens.json")
    read = frozenset({Scope.READ})
    one = tokens.create("one", read, quota=Quota(concurrent=1))
    two = tokens.create("two", read)
    server = start_server(auth=AuthConfig(tokens=str(tokens.path)))
    with (
        Client(server.address, token=one.text) as first,
        Client(server.address, token=two.text) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(first.answer, "count", mode="never")
        wait_until(lambda: server.running == 1)
        with pytest.raises(Overloaded) as caught:
            first.retrieve("roses")
        assert exceeded(caught.value) == "concurrent"
        assert second.retrieve("roses").passages
        running.result()
        assert first.retrieve("roses").passages


def test_a_quota_is_a_positive_number() -> None:
    with pytest.raises(InvalidArgument, match=r"quota\.requests"):
        Quota(requests=0)
    with pytest.raises(InvalidArgument, match="unknown limit"):
        Quota.parse({"calls": 3})


async def test_held_bytes_are_bounded() -> None:
    in_flight = InFlight(most_bytes=100)
    more = pytest.raises(Overloaded)
    with in_flight.holding(60), in_flight.holding(40), more, in_flight.holding(1):
        pass
    assert in_flight.bytes == 0
    with in_flight.holding(100):
        assert in_flight.bytes == 100


async def test_a_stalled_sender_loses_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expertrag.serving.core.inflight.RECEIVE_S", 0.05)
    monkeypatch.setattr("expertrag.serving.core.inflight.RECEIVING", 2)
    in_flight = InFlight()
    ended = asyncio.Event()

    async def late() -> str:
        await ended.wait()
        return "late"

    async def quick() -> str:
        return "quick"

    stalled = [asyncio.create_task(in_flight.receive("one", late)) for _ in range(6)]
    await asyncio.sleep(0)
    # waits for a place that a stalled sender loses, but not for those that came before
    assert await in_flight.receive("two", quick) == "quick"
    assert in_flight._places.waiting >= 2
    ended.set()  # too late for some: they have no place to free
    assert await asyncio.gather(*stalled) == ["late"] * 6
    assert in_flight._places.running == in_flight._places.waiting == 0


async def test_stalled_calls_of_one_caller_do_not_delay_another() -> None:
    in_flight = InFlight(each=2)
    ended = asyncio.Event()

    async def late() -> str:
        await ended.wait()
        return "late"

    async def quick() -> str:
        return "quick"

    greedy = [asyncio.create_task(in_flight.receive("greedy", late)) for _ in range(100)]
    await asyncio.sleep(0)
    assert in_flight._places.running == 2
    async with asyncio.timeout(0.5):  # before the stalled calls lose their places
        assert [await in_flight.receive("ada", quick) for _ in range(3)] == ["quick"] * 3
    for task in greedy:
        task.cancel()
    await asyncio.wait(greedy)
    assert in_flight._places.running == in_flight._places.waiting == 0


def test_stalled_health_checks_lose_their_places(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expertrag.serving.core.inflight.RECEIVING", 2)
    server = start_server()
    done = threading.Event()

    def nothing() -> Iterator[bytes]:
        done.wait()
        yield b""

    path = "/grpc.health.v1.Health/Check"
    with grpc.insecure_channel(server.address) as channel:
        send: Any = channel.stream_unary(path)
        check: Any = channel.unary_unary(path)
        stalled = [send.future(nothing()) for _ in range(8)]
        assert check(b"", timeout=10) == b"\x08\x01"
        done.set()
        assert [call.result(10) for call in stalled] == [b"\x08\x01"] * 8
