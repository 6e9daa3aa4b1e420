"""What a refused request leaves behind."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from types import FrameType
from typing import Any

import grpc
import pytest
from serving_fixtures import StartServer, wait_until

from expertrag.api.types import RetrieveRequest
from expertrag.v1 import retrieve_pb2

KINDS = (RetrieveRequest, retrieve_pb2.RetrieveRequest)
LONG = 1_000_000
RETRIEVE = "/expertrag.v1.RetrieveService/Retrieve"


def kept() -> Iterator[object]:
    """Yield the requests that the server has not let go of; its clients here send bytes."""
    for item in gc.get_objects():
        held = item.f_locals.values() if type(item) is FrameType else [item]
        yield from (value for value in held if type(value) in KINDS and len(value.query) == LONG)


def test_a_refused_request_is_not_kept_by_its_error(start_server: StartServer) -> None:
    server = start_server()
    message = retrieve_pb2.RetrieveRequest(query="x" * LONG).SerializeToString()
    with grpc.insecure_channel(server.address) as channel:
        ask: Any = channel.unary_unary(RETRIEVE)
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                    ask(message, timeout=10)
            wait_until(lambda: not any(True for _ in kept()))
        finally:
            gc.enable()
