"""Addresses that a server can listen at."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from serving_fixtures import StartServer

from expertrag.api.errors import Conflict, InvalidArgument
from expertrag.client import Client
from expertrag.config import AuthConfig
from expertrag.serving.core.address import Address


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("127.0.0.1:50051", Address(host="127.0.0.1", port=50051)),
        ("localhost:0", Address(host="localhost", port=0)),
        ("[::1]:50051", Address(host="[::1]", port=50051)),
        ("unix:/run/expertrag", Address(path="/run/expertrag")),
        ("unix:s", Address(path="s")),
    ],
)
def test_parse(text: str, parsed: Address) -> None:
    assert Address.parse(text) == parsed
    assert str(parsed) == text


@pytest.mark.parametrize(
    "text", ["", "50051", "host", "host:", ":50051", "host:x", "host:70000", "unix:"]
)
def test_invalid_addresses(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"HOST:PORT nor unix:PATH"):
        Address.parse(text)


def test_a_port_in_use(start_server: StartServer) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Conflict, match="in use; choose another --address") as caught:
            start_server(address=f"127.0.0.1:{port}")
    assert caught.value.reason == "ADDRESS_IN_USE"


def test_a_foreign_address(start_server: StartServer) -> None:
    with pytest.raises(InvalidArgument, match="cannot listen"):
        start_server(address="192.0.2.1:0", auth=AuthConfig(insecure=True))


def test_a_live_socket_is_not_taken_over(start_server: StartServer, tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/s"
    start_server(address=address)
    with pytest.raises(Conflict, match="another server listens"):
        start_server(address=address)
    with Client(address) as client:
        assert client.info().version


def test_a_stale_socket_is_replaced(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    start_server(address=f"unix:{path}")
    with Client(f"unix:{path}") as client:
        assert client.info().version


def test_a_file_is_not_removed(start_server: StartServer, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_text("mine")
    with pytest.raises(Conflict, match="not a socket"):
        start_server(address=f"unix:{path}")
    assert path.read_text() == "mine"
