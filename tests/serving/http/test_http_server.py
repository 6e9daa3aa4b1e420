"""The life of the HTTP server: its routes, addresses and sockets, its start and its stop."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest
from http_fixtures import CHAT, Served, StartHttp, chat_body, error_of
from serving_fixtures import Background, OpenPipeline, PacedGenerator, wait_until

from expertrag.api.errors import Conflict, Unavailable
from expertrag.config import Config, ServiceConfig
from expertrag.serving.http import HttpServer
from expertrag.serving.http.errors import body_of
from expertrag.serving.run import serve


def test_health_waits_for_the_models(
    start_http: StartHttp, open_pipeline: OpenPipeline, background: Background
) -> None:
    loading = threading.Event()

    def load() -> Any:
        loading.wait(30)
        return open_pipeline()

    served = start_http(load, wait=False)
    try:
        response = served.get("/health")
        assert response.status_code == 503
        assert error_of(response)["code"] == "loading"
        assert (response.headers["retry-after"], response.headers["x-should-retry"]) == (
            "1",
            "true",
        )
    finally:
        loading.set()
    background.run(served.grpc.wait_loaded())
    assert served.get("/health").json() == {"status": "ok", "generation": 1}


def test_health_fails_while_the_model_is_stuck(
    start_http: StartHttp, paced: PacedGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expertrag.serving.core.health.CHECK_S", 0.02)
    served = start_http()
    for healthy, status in ((False, 503), (True, 200)):
        paced.healthy = healthy
        wait_until(lambda: served.get("/health").status_code == status)  # noqa: B023


def test_an_error_in_mid_stream_is_an_event(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_deadline_s=1.0, default_deadline_s=1.0)
    asked = chat_body(stream=True, max_tokens=2_000)
    response = served.post(CHAT, asked)
    assert response.status_code == 200
    *_, last = [line for line in response.text.split("\n\n") if line]
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", "deadline_exceeded")
    named = served.post(
        "/v1/responses",
        {"model": "default:never", "input": "Why?", "stream": True, "max_output_tokens": 2_000},
    )
    assert [line for line in named.text.split("\n\n") if line][-1].startswith("event: error\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", CHAT, 405), ("DELETE", "/v1/models", 405)],
)
def test_no_such_route(served: Served, method: str, path: str, status: int) -> None:
    response = httpx.request(method, f"{served.url}{path}")
    assert response.status_code == status
    assert error_of(response)["type"] == "invalid_request_error"


def test_request_ids_come_back(served: Served) -> None:
    own = served.get("/v1/models", headers={"x-request-id": "trace-7"})
    assert own.headers["x-request-id"] == "trace-7"
    for sent in ({}, {"x-request-id": "two words"}):
        response = served.get("/v1/nothing", headers=sent)
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_calls_are_counted_as_those_of_grpc(served: Served) -> None:
    served.post(CHAT, chat_body())
    calls = served.grpc.metrics.calls.labels("AnswerService/StreamAnswer", "OK")
    assert calls._value.get() == 1


def test_an_address_in_use_is_an_error(served: Served, background: Background) -> None:
    other = HttpServer(Config(service=ServiceConfig(http_address=served.http.address)))
    with pytest.raises(Conflict, match=r"in use; choose another --http-address"):
        background.run(other.start(served.grpc.core))


def test_an_address_in_use_is_known_before_models_load(served: Served) -> None:
    taken = ServiceConfig(address="127.0.0.1:0", http_address=served.http.address)
    config = Config(service=taken)
    loaded: list[bool] = []

    def load() -> Any:
        loaded.append(True)
        raise Conflict("not reached")

    with pytest.raises(Conflict, match="in use"):
        asyncio.run(serve(config, load, HttpServer(config)))
    assert not loaded


def test_a_unix_socket_of_a_killed_server_is_taken_over(
    start_http: StartHttp, background: Background, tmp_path: Path
) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    served = start_http(http_address=f"unix:{path}")
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://localhost/v1/models").status_code == 200
    other = HttpServer(Config(service=ServiceConfig(http_address=f"unix:{path}")))
    with pytest.raises(Conflict, match="another server listens"):
        background.run(other.start(served.grpc.core))
    background.run(served.stop())
    assert not path.exists()


def test_a_stream_ends_before_the_server_stops(
    start_http: StartHttp, open_pipeline: OpenPipeline, background: Background
) -> None:
    model = PacedGenerator(step_s=0.05, words=20)
    served = start_http(lambda: open_pipeline(model))
    asked = chat_body(stream=True, max_tokens=20)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        lines = running.iter_lines()
        next(lines)
        stopped = threading.Thread(target=lambda: background.run(served.stop()))
        stopped.start()
        assert [line for line in lines if line][-1] == "data: [DONE]"
        stopped.join()
    with pytest.raises(httpx.ConnectError):
        served.get("/health")


def test_a_load_balancer_may_switch_away_before_the_server_stops(
    start_http: StartHttp, background: Background
) -> None:
    served = start_http(lame_duck_s=1.0)
    assert served.get("/health").status_code == 200
    stopped = threading.Thread(target=lambda: background.run(served.stop()))
    stopped.start()
    wait_until(lambda: served.get("/health").status_code == 503)
    assert served.get("/v1/models").status_code == 200
    stopped.join()
    with pytest.raises(httpx.ConnectError):
        served.get("/health")


def test_a_path_of_the_server_is_not_told() -> None:
    error = Unavailable("no server responds at unix:/tmp/expertrag-1/grpc.sock; start one")
    told = body_of(error)["error"]
    assert isinstance(told, dict)
    assert told["message"] == "no server responds at (a path of the server); start one"
