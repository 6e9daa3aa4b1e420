"""Documents of an upload, read on demand from a worker thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from expertrag.api.errors import DeadlineExceeded, InvalidArgument
from expertrag.api.types import DocumentInput
from expertrag.runtime.stop import Stop
from expertrag.serving.core.upload import SentDocument, Upload


def sent(name: str, collection: str = "", key: str = "") -> SentDocument:
    document = DocumentInput(name, f"text of {name}")
    return SentDocument(lambda: document, lambda: name.encode(), 10, collection, key)


def ignore(_document: SentDocument, _written: bool) -> None:
    """Charge nothing."""


async def stream(*documents: SentDocument, pause_s: float = 0.0) -> AsyncIterator[SentDocument]:
    for document in documents:
        yield document
        await asyncio.sleep(pause_s)


async def read(upload: Upload, stop: Callable[[], Stop] = Stop) -> list[str]:
    """Read the rest as a writer does, in a worker thread."""
    await upload.begin()
    documents = await asyncio.to_thread(lambda: list(upload.documents(stop())))
    return [document.id for document in documents]


async def test_the_first_document_names_collection_and_key() -> None:
    documents = stream(sent("a", "plants", "key-1"), sent("b", "other", "key-2"))
    upload = Upload(documents, 5.0, ignore)
    assert await upload.begin() == ("plants", "key-1")


async def test_documents_come_in_order_and_are_charged() -> None:
    charged: list[tuple[int, bool]] = []
    upload = Upload(
        stream(sent("a"), sent("b"), sent("c")),
        5.0,
        lambda document, written: charged.append((document.size, written)),
    )
    assert await read(upload) == ["a", "b", "c"]
    assert charged == [(10, True)] * 3


async def test_an_empty_upload() -> None:
    upload = Upload(stream(), 5.0, ignore)
    assert await upload.begin() == ("", "")
    assert await asyncio.to_thread(lambda: list(upload.documents(Stop()))) == []


async def test_the_digest_is_that_of_the_content_in_order() -> None:
    async def digest(*names: str) -> bytes:
        return await Upload(stream(*map(sent, names)), 5.0, ignore).digest()

    assert await digest("a", "b") == await digest("a", "b")
    assert len({await digest("a", "b"), await digest("b", "a"), await digest("ab")}) == 3


async def test_an_idle_sender_fails() -> None:
    upload = Upload(stream(sent("a"), sent("b"), pause_s=30), 0.05, ignore)
    with pytest.raises(DeadlineExceeded, match=r"no document came for 0.05 s; nothing was changed"):
        await read(upload)


async def test_an_error_of_a_document_ends_the_upload() -> None:
    def refuse() -> DocumentInput:
        raise InvalidArgument("an id is needed")

    broken = SentDocument(refuse, lambda: b"", 1)
    with pytest.raises(InvalidArgument, match="an id is needed"):
        await read(Upload(stream(sent("a"), broken), 5.0, ignore))


async def test_a_deadline_ends_the_upload() -> None:
    upload = Upload(stream(sent("a"), sent("b")), 5.0, ignore)
    with pytest.raises(DeadlineExceeded):
        await read(upload, lambda: Stop(0.0))
