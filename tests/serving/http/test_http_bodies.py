"""What is read of a body, and how much of all bodies together."""

from __future__ import annotations

import codecs
import gzip
import json
import socket
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from http_fixtures import CHAT, QUESTION, Served, StartHttp, chat_body, error_of, stalled
from pydantic import BaseModel, ValidationError
from serving_fixtures import OpenPipeline, PacedGenerator, wait_until

from expertrag.serving.core.inflight import InFlight
from expertrag.serving.http.body import MAX_BODY_BYTES
from expertrag.serving.http.console.bodies import Asked, Deletion, UploadBody
from expertrag.serving.http.openai.chat_request import ChatRequest
from expertrag.serving.http.openai.responses_request import ResponsesRequest


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
    assert served.post(CHAT, chat_body()).status_code == 200


@pytest.mark.parametrize("wrong", ["1", "[]", "null"])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (ChatRequest, '{"model": "a", "messages": [%s]}'),
        (ChatRequest, '{"model": "a", "messages": [{"role": "user", "content": [%s]}]}'),
        (ChatRequest, '{"model": "a", "messages": [{"role": "user"}], "stop": [%s]}'),
        (ChatRequest, '{"model": "a", "messages": [{"role": "user"}], "stop": [%s]}'),
        (Asked, '{"question": "Why?", "history": [%s]}'),
        (UploadBody, '{"documents": [%s]}'),
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


def in_flight_of(served: Served) -> InFlight:
    assert served.http._server is not None
    app: Any = served.http._server.config.app
    held: InFlight = app.state.shared.in_flight
    return held


def test_bodies_together_are_bounded(start_http: StartHttp, open_pipeline: OpenPipeline) -> None:
    served = start_http(lambda: open_pipeline(PacedGenerator(step_s=0.05, words=10)))
    in_flight = in_flight_of(served)
    in_flight._held.most = 2**20
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(stalled(served, CHAT, sent=128 * 1024))
        wait_until(lambda: in_flight.bytes == 2**20)
        refused = served.post(CHAT, chat_body())
        assert refused.status_code == 429
        assert error_of(refused)["code"] == "overloaded"
    wait_until(lambda: in_flight.bytes == 0)
    asked = chat_body(stream=True, max_tokens=10)
    with httpx.stream("POST", f"{served.url}{CHAT}", json=asked, timeout=60) as running:
        lines = running.iter_lines()
        next(lines)
        assert in_flight.bytes > 0  # a stream holds its request
        assert [line for line in lines if line][-1] == "data: [DONE]"
    wait_until(lambda: in_flight.bytes == 0)


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/embeddings", "/mcp"])
def test_bodies_of_every_route_are_held(served: Served, path: str) -> None:
    with stalled(served, path, sent=200 * 1024):
        wait_until(lambda: in_flight_of(served).bytes >= 200 * 1024)
    wait_until(lambda: in_flight_of(served).bytes == 0)


def test_mcp_is_refused_while_other_bodies_are_held(served: Served) -> None:
    in_flight = in_flight_of(served)
    in_flight._held.most = 2**20
    with stalled(served, "/mcp", sent=2**20):
        wait_until(lambda: in_flight.bytes == 2**20)
        for path in (CHAT, "/mcp"):
            refused = served.post(path, chat_body())
            assert refused.status_code == 429
            assert error_of(refused)["code"] == "overloaded"
    wait_until(lambda: in_flight.bytes == 0)


@pytest.mark.parametrize("encoding", ["gzip", "br, identity", "x" * 1_000])
def test_encoded_bodies_are_refused_with_what_to_do(served: Served, encoding: str) -> None:
    content = gzip.compress(json.dumps(chat_body()).encode())
    headers = {"content-type": "application/json", "content-encoding": encoding}
    for path in (CHAT, "/v1/responses", "/v1/embeddings", "/mcp", "/api/answer"):
        refused = httpx.post(f"{served.url}{path}", content=content, headers=headers)
        assert refused.status_code == 415
        assert refused.headers["accept-encoding"] == "identity"
        error = error_of(refused)
        assert (error["param"], error["type"]) == ("content-encoding", "invalid_request_error")
        assert "send the body without one" in error["message"]
        assert len(error["message"]) < 200


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_a_body_may_say_that_it_is_not_encoded(served: Served, encoding: str) -> None:
    headers = {"content-encoding": encoding}
    assert served.post(CHAT, chat_body(), headers=headers).status_code == 200


def test_a_byte_order_mark_is_no_part_of_a_body(served: Served) -> None:
    headers = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
    asked = {CHAT: chat_body(), "/mcp": ping}
    for path, body in asked.items():
        content = codecs.BOM_UTF8 + json.dumps(body).encode()
        response = httpx.post(f"{served.url}{path}", content=content, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
    twice = codecs.BOM_UTF8 * 2 + b"{}"
    assert httpx.post(f"{served.url}{CHAT}", content=twice, headers=headers).status_code == 400


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
        assert served.post(CHAT, chat_body(), headers={"authorization": "Bearer other"}).is_success
