"""A channel that blocks: its uploads, and its opening."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving_fixtures import OpenPipeline, StartServer

from expertrag.api.errors import ExpertRAGError, InvalidArgument
from expertrag.api.types import DocumentInput
from expertrag.client import Client
from expertrag.serving.server import Server


@pytest.fixture
def writing(start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path) -> Server:
    """A server that accepts documents."""
    return start_server(lambda: open_pipeline(store=own_store), allow_writes=True)


def test_closing_the_client_ends_an_upload_that_waits(writing: Server) -> None:
    reads, goes_on = threading.Event(), threading.Event()

    def idle() -> Iterator[DocumentInput]:
        yield DocumentInput("first", "A text.")
        reads.set()
        goes_on.wait(30)

    client = Client(writing.address)
    with ThreadPoolExecutor(1) as pool:
        upload = pool.submit(client.upsert, idle())
        reads.wait(10)
        client.close()
        with pytest.raises(ExpertRAGError):
            upload.result(10)
        goes_on.set()


def test_other_calls_run_while_an_upload_waits_for_documents(writing: Server) -> None:
    asked = threading.Event()

    def idle() -> Iterator[DocumentInput]:
        yield DocumentInput("first", "A text.")
        asked.wait(30)

    with Client(writing.address) as client, ThreadPoolExecutor(1) as pool:
        upload = pool.submit(client.upsert, idle())
        assert client.retrieve("roses", k=1).passages
        asked.set()
        assert upload.result(30).added == 1


def test_an_invalid_document_ends_its_upload(writing: Server) -> None:
    documents = [DocumentInput("first", "A text."), DocumentInput("second", 5)]  # type: ignore[arg-type]  # what is tested
    with Client(writing.address) as client:
        with pytest.raises(InvalidArgument, match="does not fit the request"):
            client.upsert(iter(documents))
        assert client.stats().generation == 1


def test_what_the_channel_cannot_do_is_told_before_the_first_call() -> None:
    with pytest.raises(InvalidArgument, match="give server_name"):
        Client("localhost:1,127.0.0.1:1", tls=True)
