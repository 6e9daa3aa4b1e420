"""Strangers who only connect, to each port: callers, files and processes keep their descriptors."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from serving_fixtures import wait_until

from expertrag.api.types import Constraint, DocumentInput
from expertrag.client import Client
from expertrag.runtime import descriptors

LIMIT = 340
"""Descriptors of the server: 42 connections at each port, and the reserve."""
CROWD = 400


@pytest.fixture
def crowded(own_store: Path, minilm_path: Path, tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
    """A server that may open few files: its addresses, and its log."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(f"127.0.0.1:{probe.getsockname()[1]}")
    script, log = Path(__file__).parents[1] / "serve_child.py", tmp_path / "log"
    command = (
        f"ulimit -n {LIMIT}; exec {sys.executable} {script} {ports[0]} {own_store} {minilm_path}"
    )
    environment = {"PYTHONPATH": str(script.parents[1]), "CHILD_HTTP": ports[1]}
    with log.open("wb") as out:
        child = subprocess.Popen(
            ["sh", "-c", command], env={**os.environ, **environment}, stdout=out, stderr=out
        )
        yield ports[0], ports[1], log
        child.kill()
        child.wait()


def connect(address: str, opened: ExitStack) -> None:
    host, _, port = address.rpartition(":")
    for _ in range(CROWD):
        try:
            opened.enter_context(socket.create_connection((host, int(port)), timeout=0.2))
        except OSError:
            return


def test_a_crowd_at_each_port_stops_nobody_else(crowded: tuple[str, str, Path]) -> None:
    grpc_address, http_address, log = crowded
    choices = Constraint(choices=("yes", "no"))
    health = f"http://{http_address}/health"
    with Client(grpc_address) as client, ExitStack() as opened:
        client.wait_ready(timeout=120)
        with httpx.Client(timeout=10) as http:
            for number, address in enumerate((grpc_address, http_address)):
                connect(address, opened)
                assert client.upsert([DocumentInput(f"{number}", "A rose.")]).added == 1
                assert client.retrieve("a rose", k=1).passages
                client.answer("Roses?", mode="never", constraint=choices, timeout=60)
                if address is grpc_address:
                    assert http.get(health).status_code == 200
            opened.close()
            wait_until(lambda: _serves(health), 20)
    assert log.stat().st_size < 100_000
    assert b"out of system resource" not in log.read_bytes()


def _serves(health: str) -> bool:
    try:
        return httpx.get(health).status_code == 200
    except httpx.TransportError:
        return False


def test_connections_leave_descriptors_for_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in (256, 340, 1_024, 4_096, 20_000, 1 << 20, -1):
        monkeypatch.setattr(resource, "getrlimit", lambda _, now=limit: (now, now))
        most = descriptors.connections_of_a_port()
        assert 16 <= most <= 10_000
        if limit >= 340:
            assert descriptors.PORTS * most + descriptors.RESERVED <= limit
