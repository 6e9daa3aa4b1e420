"""Clients of several servers of one store."""

from __future__ import annotations

import pytest
from serving_fixtures import StartServer

from expertrag.api.errors import InvalidArgument, NotFound, Unavailable
from expertrag.api.tls import Tls
from expertrag.client import AsyncClient, Client
from expertrag.client.connection import Connection
from expertrag.client.several import grpc_target
from expertrag.client.target import parse_target


def test_calls_go_to_all_servers_in_turn(start_server: StartServer) -> None:
    servers = [start_server(), start_server()]
    with Client(",".join(server.address for server in servers)) as client:
        client.wait_ready()
        for _ in range(8):
            client.retrieve("checkpoints", k=1)
    for server in servers:
        calls = server.metrics.registry.get_sample_value(
            "expertrag_calls_total", {"method": "RetrieveService/Retrieve", "code": "OK"}
        )
        assert calls and calls > 1


async def test_an_asynchronous_client(start_server: StartServer) -> None:
    servers = [start_server(), start_server()]
    async with AsyncClient(",".join(server.address for server in servers)) as client:
        assert (await client.retrieve("checkpoints", k=1)).passages


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("localhost:1", "localhost:1"),
        ("127.0.0.1:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("localhost:1,127.0.0.1:2", "ipv4:127.0.0.1:1,127.0.0.1:2"),
        ("[::1]:1,[::1]:2", "ipv6:[::1]:1,[::1]:2"),
        ("unix:/run/a,b", "unix:/run/a,b"),
    ],
)
def test_what_grpc_connects_to(address: str, target: str) -> None:
    assert parse_target(address) == address
    assert grpc_target(address) == target


def test_addresses_that_cannot_be_used() -> None:
    with pytest.raises(InvalidArgument, match="IPv4 and IPv6"):
        Client("127.0.0.1:1,[::1]:2")
    with pytest.raises(Unavailable, match=r"no-such-host\.invalid is unknown"):
        Client("127.0.0.1:1,no-such-host.invalid:2")
    for text in ("127.0.0.1:1,", ",127.0.0.1:1", "a:1,b"):
        with pytest.raises(NotFound):
            parse_target(text)


def test_tokens_and_tls_of_several_servers() -> None:
    def of(address: str, **more: object) -> Connection:
        values = {"token": "t", "tls": None, "collection": "", "insecure": False, **more}
        return Connection.of(address, **values)  # type: ignore[arg-type]

    assert of("127.0.0.1:1,127.0.0.1:2").token == "t"
    with pytest.raises(InvalidArgument, match="in the clear"):
        of("127.0.0.1:1,192.0.2.1:2")
    with pytest.raises(InvalidArgument, match="server_name"):
        assert of("127.0.0.1:1,127.0.0.2:2", tls=True).options
    name = ("grpc.ssl_target_name_override", "rag.example.com")
    assert name in of("127.0.0.1:1,127.0.0.2:2", tls=Tls(server_name=name[1])).options
