"""Every gRPC status has its error."""

from __future__ import annotations

import grpc
import pytest

from expertrag.api import errors
from expertrag.client import Client
from expertrag.client.rpc_errors import ERRORS, from_rpc


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code.name != "OK"])
def test_errors_from_grpc_itself_become_one_line(code: grpc.StatusCode) -> None:
    error = from_rpc(code, "first\nsecond", None, address="there:1", timeout=3.0)
    ended_by_server = code is grpc.StatusCode.CANCELLED
    assert type(error) is (errors.Unavailable if ended_by_server else ERRORS[code.name])
    assert error.message
    assert "\n" not in error.message
    assert error.metadata["grpc"] == "first\nsecond"
    assert error.reason


def test_no_server_at_the_address() -> None:
    with Client("localhost:9") as client, pytest.raises(errors.Unavailable) as caught:
        client.info(timeout=10)
    assert caught.value.reason == "UNREACHABLE"
    assert "localhost:9; start one with: expertrag serve" in caught.value.message
    with Client("localhost:9") as client, pytest.raises(errors.DeadlineExceeded) as late:
        client.wait_ready(timeout=0.3)
    assert late.value.reason == "NOT_READY"
