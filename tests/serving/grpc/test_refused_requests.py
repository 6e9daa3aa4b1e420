"""What a refused request leaves behind."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from serving_fixtures import StartServer

from expertrag.v1 import retrieve_pb2

BYTES = 1_000_000
REQUESTS = 60
RETRIEVE = "/expertrag.v1.RetrieveService/Retrieve"


def resident_bytes() -> int:
    """Return the memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_refused_request_is_not_kept_by_its_error(start_server: StartServer) -> None:
    server = start_server()
    message = retrieve_pb2.RetrieveRequest(query="x" * BYTES).SerializeToString()
    with grpc.insecure_channel(server.address) as channel:
        ask: Any = channel.unary_unary(RETRIEVE)

        def refuse(times: int) -> int:
            for _ in range(times):
                with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT"):
                    ask(message, timeout=10)
            return resident_bytes()

        gc.collect()
        gc.disable()
        try:
            before = refuse(5)  # buffers that are used again
            grown = refuse(REQUESTS) - before
        finally:
            gc.enable()
    assert grown < REQUESTS * BYTES / 4
