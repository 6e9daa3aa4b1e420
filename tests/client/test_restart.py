"""Calls outlast a restart of their server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving_fixtures import Background, OpenPipeline, StartServer

from expertrag.answer.pipeline import Pipeline
from expertrag.api.errors import Unavailable
from expertrag.api.types import DocumentInput
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


def test_a_write_is_repeated_if_it_can_be_read_again(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    own_store: Path,
    background: Background,
) -> None:
    def load() -> Pipeline:
        return open_pipeline(store=own_store)

    server = start_server(load, wait=False, allow_writes=True)
    address = server.address
    with Client(address) as client, ThreadPoolExecutor(2) as pool:
        assert client.delete(["nobody"]).removed == 0  # waits for the models
        background.run(server.stop())
        document = DocumentInput("new", "A new document.")
        writes = [pool.submit(client.upsert, [document]), pool.submit(client.delete, ["nobody"])]
        with pytest.raises(Unavailable) as caught:
            client.upsert(iter([document]))  # an iterator is read only once
        assert caught.value.reason == "UNREACHABLE"
        with pytest.raises(Unavailable):
            client.delete(["nobody"], timeout=0.5)
        start_server(load, wait=False, allow_writes=True, address=address)
        upserted, deleted = (write.result(30) for write in writes)
        assert (upserted.added, deleted.removed) == (1, 0)
        assert client.upsert([document]).unchanged == 1
