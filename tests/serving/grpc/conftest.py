"""A server of the paced model, its client and a bare channel to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from serving_fixtures import StartServer

from expertrag.client import Client
from expertrag.serving.server import Server

StartChild = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def server(start_server: StartServer) -> Server:
    """A server with the default settings; a file of tests may replace it."""
    return start_server()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    """Its client."""
    with Client(server.address) as client:
        yield client


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    """A channel to it, for messages that the client does not send."""
    with grpc.insecure_channel(server.address) as channel:
        yield channel


@pytest.fixture
def start_child() -> Iterator[StartChild]:
    """Starts ``serve_child.py``; kills it after the test."""
    children: list[subprocess.Popen[bytes]] = []

    def start(*arguments: object) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("serve_child.py")
        child = subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(script.parents[2])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.wait()
