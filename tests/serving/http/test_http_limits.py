"""How much a caller may ask for, how long it may take, and how many may call at a time."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from http_fixtures import CHAT, Served, StartHttp, chat_body, error_of
from serving_fixtures import OpenPipeline, PacedGenerator, wait_until

from expertrag.config import QuotaConfig
from expertrag.serving.http import protocol


def test_a_quota_says_when_to_retry(start_http: StartHttp) -> None:
    served = start_http(quota=QuotaConfig(requests=2))
    for _ in range(2):
        assert served.post(CHAT, chat_body()).status_code == 200
    refused = served.post(CHAT, chat_body())
    assert refused.status_code == 429
    assert error_of(refused)["type"] == "rate_limit_error"
    assert 25 <= int(refused.headers["retry-after"]) <= 30
    assert refused.headers["x-should-retry"] == "true"


def test_a_busy_server_says_when_to_retry(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.1, words=50)
    served = start_http(lambda: open_pipeline(model), max_concurrency=1, queue_depth=0)
    with httpx.stream(
        "POST", f"{served.url}{CHAT}", json=chat_body(stream=True, max_tokens=50), timeout=60
    ) as running:
        assert running.status_code == 200
        refused = served.post(CHAT, chat_body())
        assert refused.status_code == 429
        assert error_of(refused)["code"] == "overloaded"
        assert int(refused.headers["retry-after-ms"]) > 0


def test_who_hangs_up_frees_the_slot(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_concurrency=1, queue_depth=0)
    asked = chat_body(stream=True, max_tokens=2_000)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        next(running.iter_lines())
        assert served.grpc.running == 1
    wait_until(lambda: served.grpc.running == 0)
    assert model.open_sessions == 0


def test_who_hangs_up_on_a_whole_answer_frees_the_slot(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_concurrency=1, queue_depth=0)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{served.url}{CHAT}", json=chat_body(max_tokens=2_000), timeout=0.5)
    wait_until(lambda: served.grpc.running == 0)
    assert model.open_sessions == 0


def test_who_hangs_up_while_a_stream_waits_leaves_the_queue(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_concurrency=1, queue_depth=4)
    asked = chat_body(stream=True, max_tokens=2_000)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        lines = running.iter_lines()  # closes the connection when it is collected
        next(lines)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{served.url}{CHAT}", json=asked, timeout=0.5)
        wait_until(lambda: served.grpc.waiting == 0)
        assert served.grpc.running == 1


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models HTTP/1.1\r\nhost: a"])
def test_who_sends_no_request_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, start_http: StartHttp, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    served = start_http()
    host, _, port = served.http.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as silent:
        silent.sendall(sent)
        assert silent.recv(1) == b""


def test_an_idle_connection_is_kept_between_requests(
    monkeypatch: pytest.MonkeyPatch, start_http: StartHttp
) -> None:
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)
    served = start_http()
    with httpx.Client() as client:
        streams = []
        for _ in range(2):
            response = client.get(f"{served.url}/v1/models")
            streams.append(response.extensions["network_stream"])
            time.sleep(0.5)
    assert streams[0] is streams[1]


def test_small_writes_are_sent_at_once(served: Served) -> None:
    server = served.http._server
    assert server is not None
    with httpx.Client() as client:
        client.get(f"{served.url}/v1/models")
        (connection,) = server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def streaming(served: Served, asked: dict[str, Any]) -> socket.socket:
    """Return a connection on which a request was sent, with a small buffer for the response."""
    content = json.dumps(asked).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(content)}\r\n\r\n"
    )
    host, _, port = served.http.address.rpartition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect((host, int(port)))
    connection.sendall(head.encode() + content)
    return connection


def test_many_streams_hold_up_no_other_request(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.5, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_concurrency=110, queue_depth=1)
    with ExitStack() as stack:
        for _ in range(105):  # a connection of gRPC takes 100 calls
            stack.enter_context(streaming(served, chat_body(stream=True, max_tokens=2_000)))
        wait_until(lambda: served.grpc.running > 100)
        assert served.get("/health").status_code == 200
        assert served.get("/v1/models").status_code == 200
    wait_until(lambda: served.grpc.running == 0)


def test_who_reads_nothing_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch, start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    monkeypatch.setattr(protocol, "STALLED_S", 0.2)
    served = start_http(lambda: open_pipeline(PacedGenerator(words=4_000)))
    assert served.http._server is not None
    (listening,) = served.http._server.servers[0].sockets
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)  # of what it accepts
    connections = served.http._server.server_state.connections
    with streaming(served, chat_body(stream=True, max_tokens=4_000)):
        wait_until(lambda: len(connections) == 1)
        wait_until(lambda: not connections)
    wait_until(lambda: served.grpc.running == 0)


def test_too_many_connections(monkeypatch: pytest.MonkeyPatch, start_http: StartHttp) -> None:
    monkeypatch.setattr(protocol, "MAX_CONNECTIONS", 1)
    served = start_http()
    with httpx.Client() as first:
        assert first.get(f"{served.url}/v1/models").status_code == 200
        refused = served.get("/v1/models")
    assert refused.status_code == 503
    assert error_of(refused)["code"] == "too_many_connections"
    assert refused.headers["x-should-retry"] == "true"
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["connection"] == "close"
    assert served.get("/v1/models").status_code == 200
