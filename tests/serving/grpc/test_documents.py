"""DocumentService: what passages point to can be opened, a page at a time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from serving_fixtures import OpenPipeline, StartServer

from expertrag.api.documents import DocumentOrder
from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import (
    DocumentInput,
)
from expertrag.client import Client
from expertrag.serving.server import Server
from expertrag.stores import documents as opened
from expertrag_index.sources.ledger import Ledger
from expertrag_index.store.listing import SkippedFile
from expertrag_index.types import LoadFailure

LONG = "A sentence with an \u00fcmlaut and a \U0001f339. " * 40_000


@pytest.fixture
def server(start_server: StartServer, open_pipeline: OpenPipeline, own_store: Path) -> Server:
    return start_server(lambda: open_pipeline(store=own_store), allow_writes=True)


def test_a_passage_is_opened_at_its_offsets(client: Client) -> None:
    passage = client.retrieve("How often does a checkpoint run?", k=1).passages[0]
    found = client.documents.get(passage.document_id, start=passage.start, end=passage.end)
    assert found.text == passage.text
    assert (found.start, found.end, found.generation) == (passage.start, passage.end, 1)
    assert found.document.title == passage.title
    assert found.document.metadata == passage.metadata
    whole = client.documents.get(passage.document_id)
    assert (len(whole.text), whole.end) == (whole.document.characters, whole.document.characters)
    assert client.documents.get(passage.document_id, start=10**9).text == ""


def test_a_document_is_read_in_parts(client: Client) -> None:
    client.upsert([DocumentInput("long", LONG)], timeout=600)
    start, parts = 0, []
    while start < len(LONG):
        part = client.documents.get("long", start=start)
        assert len(part.text) <= 1_000_000
        parts.append(part.text)
        start = part.end
    assert len(parts) == 2
    assert "".join(parts) == LONG


def test_pages(client: Client) -> None:
    everything = [document.id for document in client.documents.all()]
    assert everything == sorted(everything)
    token, found = "", []
    while True:
        page = client.documents.list(page_size=7, page_token=token, order="newest")
        assert page.total == len(everything) == 18
        found += [document.id for document in page.documents]
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == everything
    garden = list(client.documents.all(filter={"domain": "garden"}, order=DocumentOrder.TITLE))
    assert {document.domain for document in garden} == {"garden"}
    assert [document.title for document in garden] == sorted(each.title for each in garden)


def test_a_page_fits_into_a_message(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "PAGE_BYTES", 100)
    page = client.documents.list()
    assert 1 <= len(page.documents) < 18
    assert len(list(client.documents.all())) == 18


def test_chunks(client: Client) -> None:
    client.upsert([DocumentInput("many", "One sentence about roses is here. " * 300)])
    page = client.documents.chunks("many", page_size=2)
    assert [chunk.ordinal for chunk in page.chunks] == [0, 1]
    text = client.documents.get("many").text
    assert [chunk.text for chunk in page.chunks] == [text[c.start : c.end] for c in page.chunks]
    rest = client.documents.chunks("many", page_token=page.next_page_token)
    assert rest.chunks[0].ordinal == 2
    assert rest.chunks[-1].end == len(text.rstrip())
    assert rest.next_page_token == ""


def forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode()


def test_wrong_requests_name_their_field(client: Client) -> None:
    documents = client.documents
    listed = documents.list(page_size=1, order="newest").next_page_token
    name = json.loads(base64.urlsafe_b64decode(listed))[0]
    tokens = (
        "x", "\u00e9", "W10=", "bnVsbA==", "W1tb" * 2_000, forged(name), forged(name, 10**30, "a"),
        forged(name, "a", "a"), forged(name, 1, 1), forged(name, 1, "\ud800"),
        forged([name], 1, "a"),
    )  # fmt: skip
    for token in tokens:
        with pytest.raises(InvalidArgument, match="page_token: is not of this list"):
            documents.list(order="newest", page_token=token)
    for call in (
        lambda: documents.list(order="id", page_token=listed),
        lambda: documents.list(order="newest", filter={"domain": "garden"}, page_token=listed),
        lambda: documents.chunks("garden/roses", page_token=listed),
    ):
        with pytest.raises((InvalidArgument, NotFound)):
            call()
    calls: list[tuple[str, Callable[[], object]]] = [
        ("page_size", lambda: documents.list(page_size=0)),
        ("page_size", lambda: documents.list(page_size=1_001)),
        ("page_size", lambda: documents.chunks("a", page_size=-1)),
        ("order", lambda: documents.list(order="size")),
        ("id", lambda: documents.get(" ")),
        ("start", lambda: documents.get("a", start=-1)),
        ("end", lambda: documents.get("a", start=3, end=2)),
    ]
    for field, wrong in calls:
        with pytest.raises(InvalidArgument, match=f"^{field}: "):
            wrong()
    for missing in (documents.get, documents.chunks):
        with pytest.raises(NotFound, match="there is no document 'nosuch'") as caught:
            missing("nosuch")
        assert caught.value.reason == "DOCUMENT_NOT_FOUND"


def test_skipped_files(client: Client, own_store: Path) -> None:
    assert client.documents.skipped().total == 0
    reason, cure = "needs a password", "remove its password"
    failures = [LoadFailure(f"manuals/{name}.pdf", reason, cure) for name in "abc"]
    with Ledger(own_store) as ledger:
        ledger.keep_skipped(failures, lambda _: False)
    first = client.documents.skipped(page_size=2)
    rest = client.documents.skipped(page_token=first.next_page_token)
    found = [*first.files, *rest.files]
    assert found == [SkippedFile(False, each.source, "", reason, cure) for each in failures]
    assert (first.total, rest.next_page_token) == (3, "")
    for token in ("x", client.documents.list(page_size=1).next_page_token):
        with pytest.raises(InvalidArgument, match="not of this list"):
            client.documents.skipped(page_token=token)
