"""SIGTERM to a server process: running calls finish, new ones are rejected, exit 0."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from serving.conftest import StartChild
from serving_fixtures import wait_until

from expertrag.api.errors import DeadlineExceeded, Unavailable
from expertrag.api.folding import fold
from expertrag.client import Client


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/s"


def wait_listening(client: Client, timeout: float = 60.0) -> None:
    """Wait until the server listens; models may still be loading."""
    ends_at = time.monotonic() + timeout
    while True:
        try:
            client.info(timeout=1)
        except Unavailable:
            assert time.monotonic() < ends_at
            time.sleep(0.1)
        else:
            return


def _is_refused(client: Client) -> bool:
    try:
        client.info(timeout=0.2)  # within which the client tries again
    except (Unavailable, DeadlineExceeded):
        return True
    return False


def test_a_signal_drains(
    start_child: StartChild, address: str, built_store: Path, minilm_path: Path
) -> None:
    child = start_child(address, built_store, minilm_path)
    with Client(address) as client:
        client.wait_ready(timeout=90)
        running = client.stream("count", mode="never")
        first = next(running)
        child.send_signal(signal.SIGTERM)
        wait_until(lambda: _is_refused(client))  # after the lame-duck delay
        assert child.poll() is None
        assert fold([first, *running]).usage.completion_tokens == 50
    assert child.wait(15) == 0


def test_a_second_signal_forces(start_child: StartChild, address: str) -> None:
    child = start_child(address)
    with Client(address) as client:
        wait_listening(client)
        child.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert child.poll() is None  # still loading: a thread cannot be stopped
        child.send_signal(signal.SIGTERM)
        assert child.wait(5) == 128 + signal.SIGTERM
