"""Calls outlast a restart of their server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving_fixtures import Background, OpenPipeline, StartServer

from expertrag.answer.pipeline import Pipeline
from expertrag.api.errors import Unavailable
from expertrag.client import AsyncClient, Client


@pytest.fixture
def slowly(open_pipeline: OpenPipeline) -> Callable[[], Pipeline]:
    """Loads for half a second."""

    def load() -> Pipeline:
        time.sleep(0.5)
        return open_pipeline()

    return load


def test_no_call_fails_while_the_server_restarts(
    start_server: StartServer, slowly: Callable[[], Pipeline], background: Background
) -> None:
    server = start_server(slowly, wait=False)
    address, ended = server.address, threading.Event()

    def blocking(ask: Callable[[Client], object]) -> int:
        calls = 0
        with Client(address) as client:
            while not ended.is_set():
                ask(client)
                calls += 1
        return calls

    async def asynchronous() -> int:
        calls = 0
        async with AsyncClient(address) as client:
            while not ended.is_set():
                await client.decide("When are roses pruned?")
                calls += 1
        return calls

    with ThreadPoolExecutor(4) as pool:
        callers = [
            pool.submit(blocking, lambda client: client.retrieve("roses", k=2)),
            pool.submit(blocking, lambda client: client.answer("roses?", max_tokens=2)),
            pool.submit(blocking, lambda client: list(client.stream("roses?", max_tokens=2))),
            pool.submit(background.run, asynchronous()),
        ]
        try:
            for _ in range(3):
                time.sleep(0.7)
                background.run(server.stop())
                time.sleep(0.7)  # nobody listens
                server = start_server(slowly, wait=False, address=address)
            background.run(server.wait_loaded())
            time.sleep(2.5)  # the longest wait between two attempts, and then some calls
        finally:
            ended.set()
        assert all(caller.result(30) > 5 for caller in callers)


def test_a_write_is_repeated_only_if_it_has_not_run(
    start_server: StartServer, slowly: Callable[[], Pipeline], background: Background
) -> None:
    server = start_server(slowly, wait=False, allow_writes=True)
    with Client(server.address) as client:
        assert client.delete(["nobody"]).removed == 0  # waits for the models
        background.run(server.stop())
        with pytest.raises(Unavailable) as caught:
            client.delete(["nobody"])
    assert caught.value.reason == "UNREACHABLE"
