"""A server compacts its collections when nobody writes to them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from serving_fixtures import OpenPipeline, StartServer, wait_until

from expertrag.api.types import DocumentInput
from expertrag.client import Client
from expertrag.config import ServiceConfig
from expertrag.serving.core.upkeep import keep_compact
from expertrag.serving.server import Server
from expertrag_index.store.layout import Layout
from expertrag_index.store.lock import WriterLock
from expertrag_index.upkeep.compact import measure_waste
from expertrag_index.upkeep.verify import verify

OLD = [DocumentInput(f"old/{number}", f"The lift {number} was repaired.") for number in range(30)]


def start(
    start_server: StartServer, open_pipeline: OpenPipeline, store: Path, **settings: object
) -> Server:
    return start_server(lambda: open_pipeline(store=store), **settings)


def write(client: Client) -> int:
    """Add documents, and delete them again; return the generation."""
    client.upsert(OLD)
    return client.delete([document.id for document in OLD]).generation


def test_deleted_documents_are_erased(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path
) -> None:
    server = start(start_server, open_pipeline, own_store, allow_writes=True, compact_after_s=0.2)
    with Client(server.address) as client:
        generation = write(client)
        wait_until(lambda: client.stats().generation == generation + 1)
        wait_until(lambda: measure_waste(own_store) == 0)
        assert client.stats().documents == 18
        assert client.retrieve("How often does a checkpoint run?").passages
        assert client.upsert(OLD[:1]).generation == generation + 2
    assert verify(own_store).problems == ()


def test_it_is_tried_again_when_another_process_has_written(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path
) -> None:
    server = start(start_server, open_pipeline, own_store, allow_writes=True, compact_after_s=0.2)
    with Client(server.address) as client:
        generation = write(client)
        with WriterLock(Layout(own_store), 5.0):
            seen = client.stats().generation
            time.sleep(1.0)
            assert client.stats().generation == seen
        wait_until(lambda: client.stats().generation == generation + 1)


@pytest.mark.parametrize("settings", [{"allow_writes": True, "compact_after_s": 0.0}, {}])
def test_it_can_be_off(
    start_server: StartServer,
    open_pipeline: OpenPipeline,
    own_store: Path,
    settings: dict[str, object],
) -> None:
    server = start(start_server, open_pipeline, own_store, **settings)
    assert server.core._upkeep is None


async def test_a_round_that_fails_is_not_the_last() -> None:
    rounds = 0

    class Failing:
        config = ServiceConfig(compact_after_s=0.0)

        @property
        def collections(self) -> object:
            nonlocal rounds
            rounds += 1
            raise OSError

    upkeep = asyncio.create_task(keep_compact(Failing()))  # type: ignore[arg-type]  # enough of one
    while rounds < 3:
        await asyncio.sleep(0)
        assert not upkeep.done()
    upkeep.cancel()
