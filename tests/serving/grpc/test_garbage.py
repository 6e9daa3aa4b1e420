"""Connections that do not speak gRPC, or speak it badly."""

from __future__ import annotations

import random
import socket
import time
from typing import Any

import grpc
import pytest
from logging_helper import logging_restored
from serving_fixtures import StartServer

from expertrag.client import Client
from expertrag.config import LogConfig
from expertrag.runtime import logs
from expertrag.serving.server import Server

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
UNIMPLEMENTED = b"grpc-status\x0212"


def call(path: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """Return the frames of a call with an empty message, without compression."""
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *more,
    )
    block = b"".join(
        b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields
    )
    stream, end_headers, end_stream = b"\0\0\0\x01", b"\x04", b"\x01"
    begin = len(block).to_bytes(3, "big") + b"\x01" + end_headers + stream + block
    return begin + b"\0\0\x05\0" + end_stream + stream + bytes(5)


def response_to(server: Server, sent: bytes, until: bytes = UNIMPLEMENTED) -> bytes:
    """Send bytes on a connection; return what comes within a second, or until some bytes."""
    host, _, port = server.address.rpartition(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(sent)
        connection.settimeout(0.2)
        ends_at = time.monotonic() + 1
        while time.monotonic() < ends_at and until not in received:
            try:
                data = connection.recv(65_536)
            except TimeoutError:
                continue
            if not data:
                break
            received += data
    return received


@pytest.mark.parametrize(
    "path",
    [
        b"/expertrag.v1.InfoService/Inf\xff",
        b"/expertrag.v1.InfoService/None",
        b"/\xed\xa0\x80",
        b"/",
    ],
)
def test_an_unknown_method_is_unimplemented_whatever_its_bytes(
    server: Server, client: Client, path: bytes
) -> None:
    for _ in range(3):
        assert UNIMPLEMENTED in response_to(server, PREFACE + SETTINGS + call(path))
    assert client.info().version


def test_unknown_methods_and_reflection_on_a_real_channel(channel: grpc.Channel) -> None:
    for path in ("/expertrag.v1.InfoService/None", "/none", "/expertrag.v1.None/Info"):
        asks: list[Any] = [channel.unary_unary(path), channel.unary_stream(path)]
        for ask in asks:
            with pytest.raises(grpc.RpcError) as caught:
                list(ask(b"", timeout=5))
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    for version in ("v1", "v1alpha"):
        service = f"grpc.reflection.{version}.ServerReflection"
        listing: Any = channel.stream_stream(f"/{service}/ServerReflectionInfo")
        (response,) = listing(iter([b"\x3a\x01*"]), timeout=5)  # list_services: "*"
        assert b"expertrag.v1.AnswerService" in response


def test_garbage_ends_no_server(start_server: StartServer) -> None:
    server = start_server()
    rng = random.Random(0)
    host, _, port = server.address.rpartition(":")
    for _ in range(200):
        sent = rng.choice((b"", PREFACE, PREFACE + SETTINGS)) + rng.randbytes(rng.randint(0, 400))
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(sent)
    with Client(server.address) as client:
        assert client.retrieve("roses").passages


@pytest.mark.parametrize("shape", ["json", "console"])
def test_a_damaged_token_does_not_reach_the_log(
    server: Server, shape: str, capfd: pytest.CaptureFixture[str]
) -> None:
    token = (b"authorization", b"Bearer ert_secret\xff")
    sent = PREFACE + SETTINGS + call(b"/expertrag.v1.InfoService/Info", token)
    with logging_restored():
        logs.configure(LogConfig(level="debug", format=shape))
        assert b"content-type" in response_to(server, sent, b"content-type")
    out, err = capfd.readouterr()
    assert "ert_secret" not in out + err
