"""Servers that follow a store elsewhere, and one that pushes its own."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from load_restarts import SteadyLoad
from serving_fixtures import OpenPipeline, StartServer, wait_until

from expertrag.api.errors import Conflict, PermissionDenied, Unavailable
from expertrag.api.info import ReplicaStatus
from expertrag.api.types import DocumentInput
from expertrag.client import Client
from expertrag.config import ReplicaConfig
from expertrag.serving.server import Server
from expertrag_index.build.writer import IndexWriter
from expertrag_index.replicas.pull import pull
from expertrag_index.replicas.push import push
from expertrag_index.types import Document

StartFollower = Callable[..., Server]
WAIT_S = 30.0


def marked(generation: int) -> list[Document]:
    """Return documents that say which generation they are of."""
    return [
        Document(
            f"marked/{number}",
            f"Text {number} of generation {generation} about checkpoints.",
            metadata={"generation": generation},
        )
        for number in range(8)
    ]


@pytest.fixture
def publish(tmp_path: Path, embedder: Any) -> Callable[[int], None]:
    """Publishes and pushes a generation whose documents say so."""

    def run(generation: int) -> None:
        with IndexWriter.open(tmp_path / "store", embedder) as writer:
            assert writer.build(marked(generation)).generation == generation
        push(tmp_path / "store", str(tmp_path / "shared"))

    return run


@pytest.fixture
def start_follower(
    tmp_path: Path, start_server: StartServer, open_pipeline: OpenPipeline
) -> StartFollower:
    """Starts a server that follows the folder ``shared``, with its copy in ``copy``."""

    def start(**settings: Any) -> Server:
        copy = tmp_path / "copy"
        return start_server(
            lambda: open_pipeline(store=copy),
            index=str(copy),
            replica=ReplicaConfig(follow=str(tmp_path / "shared"), every_s=0.1),
            **settings,
        )

    return start


def test_a_follower_is_ready_with_its_first_copy(
    publish: Callable[[int], None], start_follower: StartFollower, background: Any
) -> None:
    server = start_follower(wait=False)
    with Client(server.address) as client:
        wait_until(lambda: status_of(client).failures > 0, WAIT_S)
        assert "no generations" in status_of(client).problem
        with pytest.raises(Unavailable):
            client.retrieve("checkpoints", timeout=0.2)
        publish(1)
        background.run(server.wait_loaded())
        assert client.retrieve("checkpoints").generation == 1

        publish(2)
        wait_until(lambda: client.stats().generation == 2, WAIT_S)
        status = status_of(client)
        assert (status.role, status.newest, status.problem) == ("follower", 2, "")
        assert status.seconds_behind < WAIT_S
        assert client.info().problems == ()
        assert server.metrics.generation() == 2
        value = server.metrics.registry.get_sample_value
        assert value("expertrag_replica_newest_generation") == 2
        transfers = "expertrag_replica_transfers_total"
        assert (value(transfers, {"what": "pull", "code": "FAILED"}) or 0) > 0
        # a copy is served a moment before it is counted
        wait_until(lambda: value(transfers, {"what": "pull", "code": "OK"}) == 2, WAIT_S)


@pytest.mark.parametrize("allow_writes", [False, True])
def test_a_follower_takes_no_writes(
    publish: Callable[[int], None], start_follower: StartFollower, allow_writes: bool
) -> None:
    publish(1)
    with Client(start_follower(allow_writes=allow_writes).address) as client:
        writes: list[Callable[[], object]] = [
            lambda: client.upsert([DocumentInput("a", "text")]),
            lambda: client.delete(["marked/1"]),
        ]
        for write in writes:
            with pytest.raises(Conflict, match="write to the server that pushes there") as caught:
                write()
            assert (caught.value.code, caught.value.reason) == (
                "FAILED_PRECONDITION",
                "READ_ONLY_REPLICA",
            )


def test_a_copy_takes_no_writes_of_another_server(
    publish: Callable[[int], None], tmp_path: Path, start_server: StartServer, open_pipeline: Any
) -> None:
    publish(1)
    pull(str(tmp_path / "shared"), tmp_path / "copy")
    server = start_server(lambda: open_pipeline(store=tmp_path / "copy"), allow_writes=True)
    with Client(server.address) as client, pytest.raises(Conflict) as caught:
        client.upsert([DocumentInput("a", "text")])
    assert caught.value.reason == "READ_ONLY_REPLICA"


def test_a_writer_pushes_what_it_and_others_publish(
    own_store: Path,
    tmp_path: Path,
    embedder: Any,
    start_server: StartServer,
    open_pipeline: OpenPipeline,
) -> None:
    url, copy = str(tmp_path / "shared"), tmp_path / "copy"
    server = start_server(
        lambda: open_pipeline(store=own_store),
        index=str(own_store),
        replica=ReplicaConfig(push=url),
        allow_writes=True,
    )

    def pushed() -> int:
        status = client.info().replica
        done = status is not None and not status.problem and Path(url, "CURRENT").exists()
        return pull(url, copy).generation if done else 0

    with Client(server.address) as client:
        assert client.upsert([DocumentInput("a", "text")]).generation == 2
        wait_until(lambda: pushed() == 2, WAIT_S)
        with IndexWriter.open(own_store, embedder) as writer:
            writer.add([Document("b", "text of another process")])
        wait_until(lambda: pushed() == 3, WAIT_S)
        assert status_of(client).role == "writer"


def test_a_server_of_its_own_store_says_nothing_of_replicas(start_server: StartServer) -> None:
    with Client(start_server().address) as client:
        assert client.info().replica is None
        with pytest.raises(PermissionDenied):
            client.upsert([DocumentInput("a", "text")])


@pytest.mark.slow
def test_callers_notice_no_killed_reader_and_no_new_generation(
    publish: Callable[[int], None],
    start_follower: StartFollower,
    start_child: Callable[..., subprocess.Popen[bytes]],
    tmp_path: Path,
    minilm_path: Path,
) -> None:
    """Two readers of one store, of which one is killed; ``make lab-campaign-replicas`` has more."""
    publish(1)
    here = start_follower()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        there = f"127.0.0.1:{probe.getsockname()[1]}"
    child = start_child(there, tmp_path / "copy2", minilm_path, tmp_path / "shared")
    load = SteadyLoad(f"{here.address},{there}")
    with Client(there) as reader, load.running(*["retrieve"] * 2):
        reader_up(reader)
        publish(2)
        wait_until(lambda: reader.stats().generation == 2, WAIT_S)
        wait_until(partial(load.generations.__contains__, 2), WAIT_S)
        child.kill()
        for generation in (3, 4):
            publish(generation)
            wait_until(partial(load.generations.__contains__, generation), WAIT_S)
    assert load.calls.total() > 20
    assert load.errors == []
    assert load.mixed == []
    assert load.generations == {1, 2, 3, 4}


def status_of(client: Client) -> ReplicaStatus:
    status = client.info().replica
    assert status is not None
    return status


def reader_up(client: Client) -> None:
    until = time.monotonic() + 2 * WAIT_S
    while True:
        try:
            client.wait_ready(1.0)
            return
        except Exception:
            assert time.monotonic() < until
