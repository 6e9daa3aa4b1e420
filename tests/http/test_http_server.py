"""What holds for every request: who may call, from where, how much, and how it fails."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from http_fixtures import Served, StartHttp
from pydantic import BaseModel, ValidationError
from serving_fixtures import Background, OpenPipeline, PacedGenerator, wait_until

from expertrag.api.access import Access
from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.config import AuthConfig, Config, QuotaConfig, ServiceConfig, TlsConfig
from expertrag.http import HttpServer, protocol
from expertrag.http.body import MAX_BODY_BYTES
from expertrag.http.console.bodies import Asked, Deletion, Upload
from expertrag.http.openai.chat_request import ChatRequest
from expertrag.http.openai.responses_request import ResponsesRequest
from expertrag.service.run import serve

QUESTION = {"role": "user", "content": "When are roses pruned?"}
CHAT = "/v1/chat/completions"


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "default:never", "messages": [QUESTION], "max_tokens": 5, **fields}


def error_of(response: httpx.Response) -> dict[str, Any]:
    found = response.json()["error"]
    assert found.keys() == {"message", "type", "param", "code"}
    assert isinstance(found["message"], str) and found["message"]
    return dict(found)


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
    assert served.get("/health").json() == {"status": "ok"}


def test_tokens_scopes_and_tenants(start_http: StartHttp, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    reader = tokens.create("reader", frozenset({Scope.READ}))
    writer = tokens.create("writer", frozenset({Scope.WRITE}))
    tenant = tokens.create("tenant", frozenset({Scope.READ}), access=Access("acme"))
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))

    def asked(token: str) -> httpx.Response:
        return served.post(
            CHAT, body(), headers={"authorization": f"Bearer {token}".encode("latin-1")}
        )

    assert asked(reader.text).status_code == 200
    for refused in (served.post(CHAT, body()), asked("wrong"), asked("\u00e9")):
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert error_of(refused)["code"] == "invalid_api_key"
    assert asked(writer.text).status_code == 403
    assert error_of(asked(writer.text))["type"] == "permission_error"
    assert asked(tenant.text).status_code == 404  # the default collection is no tenant's
    listed = served.get("/v1/models", headers={"authorization": f"Bearer {tenant.text}"})
    assert listed.json()["data"] == []
    assert served.get("/health").status_code == 200


def test_a_token_of_the_process_is_nobody_elses(
    start_http: StartHttp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    monkeypatch.setenv("EXPERTRAG_TOKEN", tokens.create("own", frozenset(Scope)).text)
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))
    assert served.post(CHAT, body()).status_code == 401


def test_a_quota_says_when_to_retry(start_http: StartHttp) -> None:
    served = start_http(quota=QuotaConfig(requests=2))
    for _ in range(2):
        assert served.post(CHAT, body()).status_code == 200
    refused = served.post(CHAT, body())
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
        "POST", f"{served.url}{CHAT}", json=body(stream=True, max_tokens=50), timeout=60
    ) as running:
        assert running.status_code == 200
        refused = served.post(CHAT, body())
        assert refused.status_code == 429
        assert error_of(refused)["code"] == "overloaded"
        assert int(refused.headers["retry-after-ms"]) > 0


def test_who_hangs_up_frees_the_slot(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_concurrency=1, queue_depth=0)
    asked = body(stream=True, max_tokens=2_000)
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
        httpx.post(f"{served.url}{CHAT}", json=body(max_tokens=2_000), timeout=0.5)
    wait_until(lambda: served.grpc.running == 0)
    assert model.open_sessions == 0


def test_who_hangs_up_while_a_stream_waits_leaves_the_queue(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_concurrency=1, queue_depth=4)
    asked = body(stream=True, max_tokens=2_000)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        lines = running.iter_lines()  # closes the connection when it is collected
        next(lines)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{served.url}{CHAT}", json=asked, timeout=0.5)
        wait_until(lambda: served.grpc.waiting == 0)
        assert served.grpc.running == 1


def test_an_error_in_mid_stream_is_an_event(
    start_http: StartHttp, open_pipeline: OpenPipeline
) -> None:
    model = PacedGenerator(step_s=0.05, words=2_000)
    served = start_http(lambda: open_pipeline(model), max_deadline_s=1.0, default_deadline_s=1.0)
    asked = body(stream=True, max_tokens=2_000)
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
    ("content", "headers", "status", "param"),
    [
        (b"{}", {"content-type": "text/plain"}, 400, "content-type"),
        (b"{}", {}, 400, "content-type"),
        (b"{", {"content-type": "application/json"}, 400, "body"),
        (b"[]", {"content-type": "application/json; charset=utf-8"}, 400, "body"),
        (b"{}", {"content-type": "application/json"}, 400, "model"),
        (b"\xff", {"content-type": "application/json"}, 400, "body"),
        (b"[" * 100_000, {"content-type": "application/json"}, 400, "body"),
        (b" " * (MAX_BODY_BYTES + 1), {"content-type": "application/json"}, 413, None),
    ],
)
def test_bad_bodies(
    served: Served, content: bytes, headers: dict[str, str], status: int, param: str | None
) -> None:
    for path in (CHAT, "/v1/responses", "/v1/embeddings"):
        response = httpx.post(f"{served.url}{path}", content=content, headers=headers)
        assert response.status_code == status
        assert error_of(response)["param"] == param
    assert served.post(CHAT, body()).status_code == 200


@pytest.mark.parametrize("wrong", ["1", "[]", "null"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ChatRequest, '{"model": "a", "messages": [%s]}'),
        (ChatRequest, '{"model": "a", "messages": [{"role": "user", "content": [%s]}]}'),
        (ChatRequest, '{"model": "a", "messages": [{"role": "user"}], "stop": [%s]}'),
        (ChatRequest, '{"model": "a", "messages": [{"role": "user"}], "modalities": [%s]}'),
        (Asked, '{"question": "Why?", "history": [%s]}'),
        (Upload, '{"documents": [%s]}'),
        (Deletion, '{"ids": [%s]}'),
        (ResponsesRequest, '{"model": "a", "input": [%s]}'),
        (ResponsesRequest, '{"model": "a", "input": [{"content": [%s]}]}'),
    ],
)
def test_the_first_wrong_item_ends_the_check(kind: type[BaseModel], body: str, wrong: str) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate_json(body % ",".join([wrong] * 5_000))
    assert caught.value.error_count() < 10


@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
def test_many_errors_are_counted_only(served: Served, path: str) -> None:
    unknown = {str(number): 1 for number in range(5_000)}
    asked = {"model": "default", "messages": [QUESTION], "input": "Why?", "expertrag": unknown}
    response = served.post(path, asked)
    assert response.status_code == 400
    assert "5,000 errors" in error_of(response)["message"]


def test_many_inputs_of_the_wrong_type(served: Served) -> None:
    wrongs: list[Any] = [1, [1], {}, None]
    for wrong in wrongs:
        response = served.post("/v1/embeddings", {"model": "default", "input": [wrong] * 5_000})
        assert response.status_code == 400
        assert error_of(response)["param"] == "input"


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
            stack.enter_context(streaming(served, body(stream=True, max_tokens=2_000)))
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
    with streaming(served, body(stream=True, max_tokens=4_000)):
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


def stalled(served: Served, path: str, headers: str = "", sent: int = 1) -> socket.socket:
    """Return a connection on which a part of a body was sent."""
    host, _, port = served.http.address.rpartition(":")
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"accept: application/json, text/event-stream\r\n{headers}content-length: 8000000\r\n\r\n"
    )
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(head.encode() + b" " * sent)
    return connection


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/embeddings", "/mcp"])
@pytest.mark.parametrize("headers", ["", "authorization: Bearer wrong\r\n"])
def test_nothing_is_received_without_a_token(
    start_http: StartHttp, tmp_path: Path, path: str, headers: str
) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    tokens.create("reader", frozenset({Scope.READ}))
    served = start_http(auth=AuthConfig(tokens=str(tokens.path)))
    with stalled(served, path, headers) as connection:
        response = connection.recv(65_536)
    assert response.startswith(b"HTTP/1.1 401 ")


def test_bodies_together_are_bounded(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    served = start_http(lambda: open_pipeline(PacedGenerator(step_s=0.05, words=10)))
    assert served.http._server is not None
    app: Any = served.http._server.config.app
    in_flight = app.state.shared.in_flight
    in_flight._most = 2**20
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(stalled(served, CHAT, sent=128 * 1024))
        wait_until(lambda: in_flight.bytes == 2**20)
        refused = served.post(CHAT, body())
        assert refused.status_code == 429
        assert error_of(refused)["code"] == "overloaded"
    wait_until(lambda: in_flight.bytes == 0)
    asked = body(stream=True, max_tokens=10)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        lines = running.iter_lines()
        next(lines)
        assert in_flight.bytes > 0  # a stream holds its request
        assert [line for line in lines if line][-1] == "data: [DONE]"
    wait_until(lambda: in_flight.bytes == 0)


def test_a_body_that_stalls_holds_up_nobody(served: Served) -> None:
    host, _, port = served.http.address.rpartition(":")
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        "content-length: 100\r\n\r\n{"
    )
    with ExitStack() as stack:
        for _ in range(40):
            stalled = stack.enter_context(socket.create_connection((host, int(port))))
            stalled.sendall(head.encode())
        assert served.post(CHAT, body(), headers={"authorization": "Bearer other"}).is_success


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", CHAT, 405), ("DELETE", "/v1/models", 405)],
)
def test_no_such_route(served: Served, method: str, path: str, status: int) -> None:
    response = httpx.request(method, f"{served.url}{path}")
    assert response.status_code == status
    assert error_of(response)["type"] == "invalid_request_error"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example", ""])
def test_other_hosts_are_refused_on_the_loopback(served: Served, host: str) -> None:
    refused = served.get("/v1/models", headers={"host": host})
    assert refused.status_code == 403
    assert error_of(refused)["param"] == "host"


def test_hosts_that_are_named_are_served(start_http: StartHttp) -> None:
    served = start_http(http_host="rag.example, other.example")
    for host in ("rag.example", "other.example:443", "LOCALHOST:9", "[::1]:80"):
        assert served.get("/v1/models", headers={"host": host}).status_code == 200


def test_request_ids_come_back(served: Served) -> None:
    own = served.get("/v1/models", headers={"x-request-id": "trace-7"})
    assert own.headers["x-request-id"] == "trace-7"
    for sent in ({}, {"x-request-id": "two words"}):
        response = served.get("/v1/nothing", headers=sent)
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


def test_calls_are_counted_as_those_of_grpc(served: Served) -> None:
    served.post(CHAT, body())
    calls = served.grpc._metrics.calls.labels("AnswerService/StreamAnswer", "OK")
    assert calls._value.get() == 1


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA, folder: Path, *, mutual: bool = False) -> TlsConfig:
    issued = authority.issue_cert("127.0.0.1", "localhost")
    cert, key, ca = (str(folder / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.private_key_pem.write_to_path(key)
    Path(cert).write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    authority.cert_pem.write_to_path(ca)
    return TlsConfig(cert, key, ca if mutual else "")


def test_tls_of_the_grpc_server(
    start_http: StartHttp, authority: trustme.CA, tmp_path: Path
) -> None:
    served = start_http(tls=tls_of(authority, tmp_path))
    url = f"https://{served.http.address}/v1/models"
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert httpx.get(url, verify=trusting).status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{served.http.address}/v1/models")


def test_a_changed_certificate_is_followed(
    start_http: StartHttp, authority: trustme.CA, tmp_path: Path
) -> None:
    served = start_http(tls=tls_of(authority, tmp_path))
    url = f"https://{served.http.address}/v1/models"
    tls_of(trustme.CA(), tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    assert httpx.get(url, verify=trusting).status_code == 200


def test_mutual_tls_is_for_http_too(
    start_http: StartHttp, authority: trustme.CA, tmp_path: Path
) -> None:
    served = start_http(tls=tls_of(authority, tmp_path, mutual=True))
    url = f"https://{served.http.address}/v1/models"
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    with pytest.raises(httpx.HTTPError):
        httpx.get(url, verify=trusting)
    authority.issue_cert("client.example").configure_cert(trusting)
    assert httpx.get(url, verify=trusting).status_code == 200


def test_nothing_listens_beyond_loopback_in_the_clear() -> None:
    config = Config(service=ServiceConfig(http_address="0.0.0.0:0"))
    with pytest.raises(InvalidArgument, match="TLS"):
        HttpServer(config)


def test_an_address_in_use_is_an_error(served: Served, background: Background) -> None:
    other = HttpServer(Config(service=ServiceConfig(http_address=served.http.address)))
    with pytest.raises(Conflict, match=r"in use; choose another --http-address"):
        background.run(other.start("unix:/nowhere"))


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
        background.run(other.start("unix:/nowhere"))
    background.run(served.stop())
    assert not path.exists()


def test_a_stream_ends_before_the_server_stops(
    start_http: StartHttp, open_pipeline: OpenPipeline, background: Background
) -> None:
    model = PacedGenerator(step_s=0.05, words=20)
    served = start_http(lambda: open_pipeline(model))
    asked = body(stream=True, max_tokens=20)
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


def test_the_private_socket_is_removed(start_http: StartHttp, background: Background) -> None:
    served = start_http()
    folder = Path(served.grpc.private_address.removeprefix("unix:")).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    background.run(served.stop())
    assert not folder.exists()


def test_the_private_socket_of_a_killed_server_is_removed(
    start_http: StartHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        left = Path(folder) / "expertrag-left" / "grpc.sock"
        left.parent.mkdir()
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(left))
        running, other = start_http(), start_http()
        assert not left.parent.exists()
        for served in (running, other):
            assert served.get("/v1/models").status_code == 200
