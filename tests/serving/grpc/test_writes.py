"""IndexService: one generation per call, served at once, or no change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from serving_fixtures import Background, OpenPipeline, StartServer

from expertrag.api.errors import DeadlineExceeded, InvalidArgument, PermissionDenied
from expertrag.api.types import DocumentInput
from expertrag.client import AsyncClient, Client
from expertrag.serving.server import Server

BICYCLE = DocumentInput(
    id="office/bicycle",
    text="A bicycle can be leased through the office at Northwind.",
    title="bicycle",
    domain="office",
    metadata={"year": 2026, "share": 0.5, "draft": False},
)


@pytest.fixture
def server(start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path) -> Server:
    return start_server(lambda: open_pipeline(store=own_store), allow_writes=True)


def test_upsert_serves_a_new_generation(client: Client) -> None:
    report = client.upsert([BICYCLE, DocumentInput(id="blank", text=" ")])
    assert (report.generation, report.added, report.changed) == (2, 1, 0)
    errors = {item.id: item.error for item in report.items}
    assert errors["office/bicycle"] == ""
    assert errors["blank"]
    found = client.retrieve("lease a bicycle", k=1)
    assert found.generation == 2
    assert found.passages[0].document_id == BICYCLE.id
    assert found.passages[0].metadata == BICYCLE.metadata
    assert client.stats().documents == 19
    assert client.upsert([BICYCLE]).unchanged == 1


def test_filters_on_lists_and_mappings_of_metadata(client: Client) -> None:
    nested = {"tags": ["bike", "lease"], "author": {"name": "Ada", "teams": ("hr",)}, "none": []}
    client.upsert([replace(BICYCLE, metadata=nested)])
    for wanted in ({"tags": "lease"}, {"author.name": "Ada"}, {"author.teams": {"$in": ["hr"]}}):
        (passage,) = client.retrieve("lease a bicycle", k=5, filter=wanted).passages
        assert passage.document_id == BICYCLE.id
        assert passage.metadata == {
            "tags": ["bike", "lease"], "author.name": "Ada", "author.teams": ["hr"]
        }  # fmt: skip
    assert not client.retrieve("lease", filter={"tags": {"$eq": "bike", "$ne": "lease"}}).passages


def test_a_document_with_invalid_metadata_is_skipped(own_store: Path) -> None:
    """In process, where no protobuf message rejects it first."""
    endless: dict[str, object] = {}
    endless["again"] = endless
    bad: list[dict[str, object]] = [{"x": None}, {"x": object()}, {"x": [float("inf")]}, endless]
    documents = [DocumentInput(str(i), "Text.", metadata=given) for i, given in enumerate(bad)]
    with Client(str(own_store)) as here:
        report = here.upsert([BICYCLE, *documents])
    assert report.added == 1
    errors = {item.id: item.error for item in report.items}
    assert errors.pop(BICYCLE.id) == ""
    assert len(errors) == len(bad)
    assert all("metadata" in error for error in errors.values())


def test_any_number_of_metadata_fields_can_be_described(client: Client) -> None:
    names = [f"{number:0200d}" for number in range(3_000)]
    client.upsert([replace(BICYCLE, metadata=dict.fromkeys(names, 1))])
    stats = client.info().index
    assert stats is not None and stats == client.stats()
    assert stats.metadata_field_count == 3_000 + 2  # and those of the other documents
    assert set(stats.metadata_fields) < {*names, "lang", "year"}
    assert 200 < len(stats.metadata_fields) < 1_000
    with pytest.raises(InvalidArgument, match="unknown filter field 'nope'"):
        client.retrieve("bicycle", filter={"nope": 1})


def test_delete(client: Client) -> None:
    report = client.delete(["garden/roses"])
    assert (report.generation, report.removed) == (2, 1)
    found = client.retrieve("roses", k=18).passages
    assert "garden/roses" not in {passage.document_id for passage in found}


def torn_upload() -> Iterator[DocumentInput]:
    yield BICYCLE
    raise OSError("the disk with the documents is gone")


def test_an_aborted_upload_changes_nothing(client: Client) -> None:
    for _ in range(10):
        with pytest.raises(OSError, match="disk"):
            client.upsert(torn_upload())
    assert client.stats().generation == 1


def test_an_aborted_asynchronous_upload_changes_nothing(
    client: Client, background: Background, server: Server
) -> None:
    async def scenario() -> None:
        async with AsyncClient(server.address) as twin:
            with pytest.raises(OSError, match="disk"):
                await twin.upsert(torn_upload())
            report = await twin.upsert([BICYCLE])
            assert report.generation == 2

    background.run(scenario())


def test_answers_continue_while_the_store_is_replaced(client: Client) -> None:
    done = threading.Event()
    generations: set[int] = set()
    failures: list[Exception] = []

    def ask() -> None:
        while not done.is_set():
            try:
                generations.add(client.retrieve("roses", k=1).generation)
            except Exception as error:
                failures.append(error)
                return

    asking = threading.Thread(target=ask)
    asking.start()
    for number in range(3):
        client.upsert([DocumentInput(id=f"new/{number}", text=f"Note number {number}.")])
    done.set()
    asking.join()
    assert not failures
    assert generations <= {1, 2, 3, 4}


def test_an_idle_sender_does_not_stop_other_writers(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path
) -> None:
    server = start_server(
        lambda: open_pipeline(store=own_store), allow_writes=True, upload_idle_s=0.5
    )
    goes_on = threading.Event()

    def idle() -> Iterator[DocumentInput]:
        yield BICYCLE
        goes_on.wait(30)

    with Client(server.address) as client, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(client.upsert, idle())
        with pytest.raises(DeadlineExceeded, match=r"no document came for 0\.5 s"):
            sending.result(10)
        goes_on.set()
        assert client.upsert([replace(BICYCLE, id="second")], timeout=10).generation == 2
        assert BICYCLE.id not in {
            found.document_id for found in client.retrieve("b", k=19).passages
        }


def test_a_write_has_a_longest_deadline(
    start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path
) -> None:
    server = start_server(
        lambda: open_pipeline(store=own_store), allow_writes=True, max_upload_s=1.0
    )

    def slow() -> Iterator[DocumentInput]:
        for number in range(100):
            yield replace(BICYCLE, id=str(number))
            time.sleep(0.1)

    with Client(server.address) as client:
        with pytest.raises(DeadlineExceeded, match=r"not done within 1 s"):
            client.upsert(slow(), timeout=60)
        assert client.stats().generation == 1


def test_writes_are_off_by_default(start_server: StartServer) -> None:
    server = start_server()
    with Client(server.address) as client:
        with pytest.raises(PermissionDenied, match="--allow-writes") as caught:
            client.upsert([BICYCLE])
        assert caught.value.reason == "WRITES_DISABLED"
        with pytest.raises(PermissionDenied, match="--allow-writes"):
            client.delete(["office/leave"])
        assert client.stats().generation == 1
