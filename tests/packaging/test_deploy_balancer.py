"""compose's Envoy in front of real servers: calls in turn, writes to the writer, no lost calls."""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import yaml
from deploy_files import COMPOSE, ran, tool, with_binaries
from serving_fixtures import Background, wait_until

from expertrag.answer.collections import Collections
from expertrag.api.errors import NotFound
from expertrag.auth import Scope
from expertrag.client import Client
from expertrag.config import Config, ServiceConfig
from expertrag.service import Server
from expertrag.service.scopes import SCOPES

pytestmark = with_binaries

LAME_DUCK_S = 2.5
"""Over the second between two checks of the balancer."""
LIST = "CollectionService/ListCollections"
CONFIG = COMPOSE / "envoy" / "envoy.yaml"


def no_models() -> Collections:
    """Return what a server has that only says who it is."""
    return Collections(lambda _: pytest.fail("no store is opened"), {})


@pytest.fixture
def servers(background: Background) -> Iterator[list[Server]]:
    """A writer and two readers that serve no store, so that they are ready at once."""

    async def started() -> list[Server]:
        service = ServiceConfig(address="127.0.0.1:0", allow_writes=True, lame_duck_s=LAME_DUCK_S)
        found = [Server(Config(service=service), no_models) for _ in range(3)]
        for server in found:
            await server.start()
            await server.wait_loaded()
        return found

    found = background.run(started())
    yield found
    for server in found:
        background.run(server.stop())


def calls(server: Server, method: str) -> float:
    """Return how many calls of a method a server has finished."""
    found = server.metrics.registry.collect()
    return sum(
        sample.value
        for family in found
        if family.name == "expertrag_calls"
        for sample in family.samples
        if sample.name.endswith("_total") and sample.labels["method"] == method
    )


@contextmanager
def balanced(writer: Server, readers: list[Server]) -> Iterator[str]:
    """Run Envoy with compose's configuration, its hosts replaced; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = yaml.safe_load(CONFIG.read_text("utf-8"))
    resources = config["static_resources"]
    own = resources["listeners"][0]["address"]["socket_address"]
    own |= {"address": "127.0.0.1", "port_value": port}
    hosts = {"writer": writer, **{f"reader-{n}": each for n, each in enumerate(readers, 1)}}
    for cluster in resources["clusters"]:
        for endpoint in cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]:
            where = endpoint["endpoint"]["address"]["socket_address"]
            to = hosts[where["address"]].address.rpartition(":")[2]
            where |= {"address": "127.0.0.1", "port_value": int(to)}
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
            yield f"127.0.0.1:{port}"
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
    servers: list[Server], background: Background
) -> None:
    writer, *readers = servers
    with balanced(writer, readers) as address, Client(address) as client:
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
            background.run(readers[0].stop())
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
