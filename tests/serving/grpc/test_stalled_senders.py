"""Calls whose message does not come: strangers cost nobody anything, callers a moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from serving.grpc.test_garbage import PREFACE, SETTINGS, call
from serving_fixtures import StartServer, trailing_of

from expertrag.auth import Scope
from expertrag.auth.token_file import TokenFile
from expertrag.client import Client
from expertrag.config import AuthConfig
from expertrag.serving.core.inflight import RECEIVE_S, RECEIVING
from expertrag.serving.server import Server

RETRIEVE = b"/expertrag.v1.RetrieveService/Retrieve"
MESSAGE_BYTES = 14
"""Of the frame with an empty message, which ends ``call``."""


@pytest.fixture
def tokens(tmp_path: Path) -> dict[str, str]:
    file = TokenFile(tmp_path / "tokens.json")
    return {name: file.create(name, frozenset({Scope.READ})).text for name in ("one", "two")}


@pytest.fixture
def server(start_server: StartServer, tokens: dict[str, str], tmp_path: Path) -> Server:
    del tokens
    return start_server(auth=AuthConfig(tokens=str(tmp_path / "tokens.json")))


@pytest.fixture
def client(server: Server, tokens: dict[str, str]) -> Iterator[Client]:
    with Client(server.address, token=tokens["one"]) as client:
        client.retrieve("roses")
        yield client


def stall(opened: ExitStack, server: Server, token: str, number: int) -> None:
    """Begin calls, each on a connection of its own, and send no message."""
    host, _, port = server.address.rpartition(":")
    begun = call(RETRIEVE, (b"authorization", b"Bearer " + token.encode()))[:-MESSAGE_BYTES]
    for _ in range(number):
        connection = opened.enter_context(socket.create_connection((host, int(port)), timeout=5))
        connection.sendall(PREFACE + SETTINGS + begun)
    time.sleep(0.2)  # until they are accepted


def seconds_of_a_call(client: Client) -> float:
    began = time.monotonic()
    client.retrieve("roses", timeout=20)
    return time.monotonic() - began


def test_strangers_take_no_place(server: Server, client: Client) -> None:
    with ExitStack() as opened:
        stall(opened, server, "ert_none", 4 * RECEIVING)
        assert seconds_of_a_call(client) < RECEIVE_S / 2


def test_another_caller_waits_for_one_turn(
    server: Server, client: Client, tokens: dict[str, str]
) -> None:
    with ExitStack() as opened:
        stall(opened, server, tokens["two"], 4 * RECEIVING)
        assert seconds_of_a_call(client) < 1.5 * RECEIVE_S
    assert seconds_of_a_call(client) < 1.5 * RECEIVE_S


def test_a_call_without_a_message_is_told(
    server: Server, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = (("authorization", f"Bearer {tokens['one']}"),)
    with grpc.insecure_channel(server.address) as channel:
        ask: Any = channel.stream_unary(RETRIEVE.decode())
        with pytest.raises(grpc.RpcError) as caught:
            ask(iter(()), metadata=metadata, timeout=10)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        monkeypatch.setattr("expertrag.serving.core.inflight.MESSAGE_S", 0.1)

        def never() -> Iterator[bytes]:
            time.sleep(1)
            yield b""

        with pytest.raises(grpc.RpcError) as caught:
            ask(never(), metadata=metadata, timeout=10)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "did not arrive" in str(caught.value.details())
        assert trailing_of(caught.value)["x-request-id"]
