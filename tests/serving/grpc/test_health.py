"""Health, loading and reflection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from serving_fixtures import Background, OpenPipeline, PacedGenerator, StartServer, wait_until

from expertrag.answer.pipeline import Pipeline
from expertrag.api.errors import DeadlineExceeded, NotFound, Unavailable
from expertrag.client import Client
from expertrag.serving.core.health import Health, watch_model
from expertrag.serving.grpc.health import HealthServicer
from expertrag.serving.grpc.services import NAMES

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Gate:
    """Blocks loading until a test releases it."""

    def __init__(self, load: Callable[[], Pipeline]) -> None:
        self._load = load
        self.open = threading.Event()

    def __call__(self) -> Pipeline:
        assert self.open.wait(30)
        return self._load()


def check(channel: grpc.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    status: int = health_pb2_grpc.HealthStub(channel).Check(request, timeout=10).status
    return status


def test_only_info_and_health_answer_while_loading(
    start_server: StartServer, open_pipeline: OpenPipeline, background: Background
) -> None:
    gate = Gate(open_pipeline)
    server = start_server(gate, wait=False)
    with Client(server.address) as client, grpc.insecure_channel(server.address) as channel:
        info = client.info()
        assert info.version
        assert info.max_k == 1000
        assert info.index is None
        with pytest.raises(Unavailable) as caught:
            client.answer("too early?", timeout=2)
        assert caught.value.reason == "LOADING"
        with pytest.raises(DeadlineExceeded) as late:
            client.wait_ready(timeout=0.3)
        assert late.value.reason == "NOT_READY"
        assert check(channel, "") == NOT_SERVING
        assert check(channel, "expertrag.v1.InfoService") == SERVING
        assert check(channel, "expertrag.v1.AnswerService") == NOT_SERVING
        gate.open.set()
        client.wait_ready(timeout=30)
        background.run(server.wait_loaded())
        assert check(channel, "") == SERVING
        for service in NAMES:
            assert check(channel, service) == SERVING
        with pytest.raises(grpc.RpcError) as unknown:
            check(channel, "expertrag.v1.NoService")
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        assert client.info().index is not None


def test_a_failed_load_is_raised(start_server: StartServer, background: Background) -> None:
    def load() -> Pipeline:
        raise NotFound("no store", reason="STORE_NOT_FOUND")

    server = start_server(load, wait=False)
    with pytest.raises(NotFound):
        background.run(server.wait_loaded())


def test_watchers_get_every_change_after_one_leaves(
    start_server: StartServer, open_pipeline: OpenPipeline, background: Background
) -> None:
    gate = Gate(open_pipeline)
    server = start_server(gate, wait=False)

    async def scenario() -> tuple[list[int], list[int]]:
        async with grpc.aio.insecure_channel(server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            leaver, stayer = stub.Watch(request("")), stub.Watch(request(""))
            stranger = stub.Watch(request("nobody"))
            seen = [(await watch.read()).status for watch in (leaver, stayer, stranger)]
            leaver.cancel()
            await asyncio.sleep(0.1)
            gate.open.set()
            heard = [(await stayer.read()).status]
            await server.stop()
            while (response := await stayer.read()) is not grpc.aio.EOF:
                heard.append(response.status)
            return seen, heard

    def request(service: str) -> health_pb2.HealthCheckRequest:
        return health_pb2.HealthCheckRequest(service=service)

    seen, heard = background.run(scenario())
    assert seen == [NOT_SERVING, NOT_SERVING, UNKNOWN]
    assert heard == [SERVING, NOT_SERVING]


def test_a_stuck_model_turns_the_health_until_it_goes_on(
    start_server: StartServer, paced: PacedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expertrag.serving.core.health.CHECK_S", 0.02)
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        stuck = ("", "expertrag.v1.AnswerService", "expertrag.v1.GateService")
        for healthy, status in ((False, NOT_SERVING), (True, SERVING)):
            paced.healthy = healthy
            wait_until(lambda: check(channel, "") == status)  # noqa: B023
            for service in ("", *NAMES):
                assert check(channel, service) == (status if service in stuck else SERVING)


async def test_a_check_that_fails_does_not_end_the_checks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("expertrag.serving.core.health.CHECK_S", 0.0)
    health = Health(["a"])
    await health.set(True)
    answers: Iterator[bool | None] = iter([True, None, None, False])

    def healthy() -> bool:
        answer = next(answers, False)
        if answer is None:
            assert health.serving("a")
            raise OSError
        return answer

    watch = asyncio.create_task(watch_model(health, healthy, ["a"]))
    while health.serving("a"):
        await asyncio.sleep(0)
        assert not watch.done()
    watch.cancel()


def test_a_health_check_that_fails_tells_no_cause(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> None:
        raise ValueError("a text that nobody may see")

    monkeypatch.setattr(HealthServicer, "Check", failing)
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.RpcError) as raised:
            check(channel, "")
        assert raised.value.code() == grpc.StatusCode.INTERNAL
        assert "nobody" not in str(raised.value.details())


@pytest.mark.parametrize("messages", [[], [b"\xff"]], ids=["none", "malformed"])
def test_a_health_check_without_a_request_ends_alone(
    start_server: StartServer, messages: list[bytes]
) -> None:
    server = start_server()
    with grpc.insecure_channel(server.address) as channel:
        send: Any = channel.stream_unary("/grpc.health.v1.Health/Check")
        with pytest.raises(grpc.RpcError) as raised:
            send(iter(messages), timeout=10)
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert check(channel, "") == SERVING


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection_lists_and_describes(start_server: StartServer, version: str) -> None:
    server = start_server(reflection=True)
    with grpc.insecure_channel(server.address) as channel:
        ask = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            reflection_pb2.ServerReflectionRequest.SerializeToString,
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, described = ask(
            iter(
                [
                    reflection_pb2.ServerReflectionRequest(list_services=""),
                    reflection_pb2.ServerReflectionRequest(
                        file_containing_symbol="expertrag.v1.AnswerService"
                    ),
                ]
            ),
            timeout=10,
        )
    names = {service.name for service in listed.list_services_response.service}
    assert set(NAMES) < names
    assert "grpc.health.v1.Health" in names
    assert described.file_descriptor_response.file_descriptor_proto


def test_reflection_can_be_turned_off(start_server: StartServer) -> None:
    server = start_server(reflection=False)
    with grpc.insecure_channel(server.address) as channel:
        ask: Any = channel.stream_stream(
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        )
        with pytest.raises(grpc.RpcError) as caught:
            list(ask(iter([b""]), timeout=10))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
