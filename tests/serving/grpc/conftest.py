"""A server of the paced model, its client and a bare channel to it."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from serving_fixtures import StartServer

from expertrag.client import Client
from expertrag.serving.server import Server


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
