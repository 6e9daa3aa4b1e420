"""compose's Envoy in front of real servers: calls in turn, writes to the writer, no lost calls."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import yaml
from deploy_files import COMPOSE, ran, tool, with_binaries
from http_fixtures import Served
from serving_fixtures import Background, wait_until

from expertrag.answer.collections import Collections
from expertrag.api.errors import NotFound
from expertrag.auth import Scope
from expertrag.client import Client
from expertrag.config import Config, ServiceConfig
from expertrag.serving.core.scopes import SCOPES
from expertrag.serving.http.console.routes import console_routes
from expertrag.serving.server import Server
from expertrag.serving.web import http_server

pytestmark = with_binaries

LAME_DUCK_S = 2.5
"""Over the second between two checks of the balancer."""
LIST = "CollectionService/ListCollections"
CONFIG = COMPOSE / "envoy" / "envoy.yaml"


def no_models() -> Collections:
    """Return what a server has that only says who it is."""
    return Collections(lambda _: pytest.fail("no store is opened"), {})


@pytest.fixture
def servers(background: Background) -> Iterator[list[Served]]:
    """A writer and two readers that serve no store, so that they are ready at once."""
    free: dict[str, Any] = {"address": "127.0.0.1:0", "http_address": "127.0.0.1:0"}
    # by the name of its cluster, Envoy asks for the health; beyond loopback, any name is served
    settings = {**free, "http_host": "readers-http", "lame_duck_s": LAME_DUCK_S}
    config = Config(service=ServiceConfig(**settings, allow_writes=True))

    async def started() -> list[Served]:
        found = [Served(Server(config, no_models), http_server(config)) for _ in range(3)]
        for server in found:
            await server.start()
            await server.grpc.wait_loaded()
        return found

    found = background.run(started())
    yield found
    for server in found:
        background.run(server.stop())


def calls(server: Served, method: str) -> float:
    """Return how many calls of a method a server has finished."""
    found = server.grpc.metrics.registry.collect()
    return sum(
        sample.value
        for family in found
        if family.name == "expertrag_calls"
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["method"] == method
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def balanced(servers: list[Served]) -> Iterator[tuple[str, str]]:
    """Run Envoy with compose's configuration, its hosts replaced; yield its two addresses."""
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    resources = config["static_resources"]
    ports = [free_port() for _ in resources["listeners"]]
    for port, listener in zip(ports, resources["listeners"], strict=True):
        listener["address"]["socket_address"] |= {"address": "127.0.0.1", "port_value": port}
    hosts = dict(zip(("writer", "reader-1", "reader-2"), servers, strict=True))
    for cluster in resources["clusters"]:
        for endpoint in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]:
            where = endpoint["endpoint"]["address"]["socket_address"]
            host = hosts[where["address"]]
            to = host.http.address if cluster["name"].endswith("-http") else host.grpc.address
            where |= {"address": "127.0.0.1", "port_value": int(to.rpartition(":")[2])}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        command = [str(tool("envoy")), "--use-dynamic-base-id", "--concurrency", "1"]
        process = subprocess.Popen(
            [*command, "--log-level", "error", "--config-path", file.name],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}"
        finally:
            process.terminate()
            process.wait(30)


def test_envoy_accepts_the_configuration() -> None:
    done = ran("envoy", "--mode", "validate", "--config-path", CONFIG)
    assert done.returncode == 0, done.stderr


def test_writes_go_to_the_writer_and_all_else_to_the_readers() -> None:
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]
    routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    exact = {r["match"]["path"]: r["route"]["cluster"] for r in routes if "path" in r["match"]}
    writes = {f"/expertrag.v1.{name}" for name, scope in SCOPES.items() if scope is Scope.WRITE}
    assert exact == dict.fromkeys(writes, "writer")
    assert [r["route"]["cluster"] for r in routes if "prefix" in r["match"]] == ["readers"]


def test_calls_are_spread_and_none_is_lost_when_a_reader_stops(
    servers: list[Served], background: Background
) -> None:
    writer, *readers = servers
    with balanced(servers) as (address, _), Client(address) as client:
        client.wait_ready(20)
        # once both are known to be healthy
        wait_until(lambda: not client.collections() and all(calls(r, LIST) for r in readers), 20)
        before = sum(calls(reader, LIST) for reader in readers)
        shares = [calls(reader, LIST) for reader in readers]
        for _ in range(20):
            client.collections()
        wait_until(lambda: sum(calls(r, LIST) for r in readers) == before + 20)
        assert [calls(r, LIST) - n for r, n in zip(readers, shares, strict=True)] == [10, 10]
        with pytest.raises(NotFound):  # the writer has no store here, and says so
            client.delete(["x"])
        wait_until(lambda: calls(writer, "IndexService/Delete") == 1)
        assert calls(writer, LIST) == 0
        stopped = threading.Event()

        def stop() -> None:
            background.run(readers[0].grpc.stop())
            stopped.set()

        stopping = threading.Thread(target=stop)
        stopping.start()
        while not stopped.is_set():
            client.collections()  # raises if a call fails
            time.sleep(0.01)
        stopping.join()
        left = calls(readers[0], LIST)
        for _ in range(10):
            client.collections()
        assert calls(readers[0], LIST) == left


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").status_code == 200
    except httpx.TransportError:  # Envoy does not listen yet
        return False


def test_http_goes_to_a_reader_and_writes_to_the_writer(servers: list[Served]) -> None:
    with balanced(servers) as (_, url):
        wait_until(lambda: is_ready(url), 20)
        assert "ExpertRAG" in httpx.get(url).text  # the console
        before = [calls(server, LIST) for server in servers]
        for _ in range(4):
            headers = {"authorization": "Bearer ert_1"}
            assert httpx.get(f"{url}/v1/models", headers=headers).json()["data"] == []
        asked = [calls(server, LIST) - n for server, n in zip(servers, before, strict=True)]
        assert sorted(asked) == [0, 0, 4] and asked[0] == 0  # a caller stays with a reader
        for path, body in (
            ("upsert", {"documents": [{"id": "a", "text": "b"}]}),
            ("delete", {"ids": ["a"]}),
        ):
            answer = httpx.post(f"{url}/api/documents/{path}", json=body)
            assert answer.status_code == 404, answer.text  # there is no store
            method = f"IndexService/{path.title()}"
            assert [calls(server, method) for server in servers] == [1, 0, 0]


def test_console_writes_are_routed_by_their_paths() -> None:
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    manager = config["static_resources"]["listeners"][1]["filter_chains"][0]["filters"][0]
    routes = manager["typed_config"]["route_config"]["virtual_hosts"][0]["routes"]
    written = {r["match"]["path"] for r in routes if r["route"]["cluster"] == "writer-http"}
    paths = {route.path for route in console_routes()}
    assert written <= paths
    assert written == {path for path in paths if path.rpartition("/")[2] in ("upsert", "delete")}
