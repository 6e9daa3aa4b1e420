"""What the console shows of a server and its documents, and the changes that it may make."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from expertrag.serving.http.body import read_body
from expertrag.serving.http.console.bodies import (
    Body,
    Deletion,
    Listed,
    Opened,
    OpenedChunks,
    Paged,
    UploadBody,
)
from expertrag.serving.http.console.replies import private
from expertrag.serving.http.state import HttpState


async def info(request: Request) -> Response:
    """Describe the server, and tell whether it accepts writes."""
    shared = HttpState.of(request)
    server = await shared.client(request).info()
    return private({"server": server, "writes": shared.allow_writes})


async def collections(request: Request) -> Response:
    """List the collections that the caller may name."""
    infos = await HttpState.of(request).client(request).collections()
    return private({"collections": infos})


async def stats(request: Request) -> Response:
    """Describe the store of a collection."""
    asked = await read_body(request, Body)
    return private(await HttpState.of(request).client(request, asked.collection).stats())


async def list_documents(request: Request) -> Response:
    """Return a page of documents."""
    asked = await read_body(request, Listed)
    documents = HttpState.of(request).client(request, asked.collection).documents
    return private(
        await documents.list(
            filter=asked.filter,
            order=asked.order,
            page_size=asked.page_size,
            page_token=asked.page_token,
        )
    )


async def text(request: Request) -> Response:
    """Return the text of a document, or of a range of its characters."""
    asked = await read_body(request, Opened)
    documents = HttpState.of(request).client(request, asked.collection).documents
    return private(await documents.get(asked.id, start=asked.start, end=asked.end))


async def chunks(request: Request) -> Response:
    """Return a page of the chunks of a document."""
    asked = await read_body(request, OpenedChunks)
    documents = HttpState.of(request).client(request, asked.collection).documents
    return private(
        await documents.chunks(asked.id, page_size=asked.page_size, page_token=asked.page_token)
    )


async def list_skipped(request: Request) -> Response:
    """Return a page of what was skipped when the sources of a store were last read."""
    asked = await read_body(request, Paged)
    documents = HttpState.of(request).client(request, asked.collection).documents
    return private(await documents.skipped(page_size=asked.page_size, page_token=asked.page_token))


async def upsert(request: Request) -> Response:
    """Add or replace documents."""
    sent = await read_body(request, UploadBody)
    client = HttpState.of(request).client(request, sent.collection)
    return private(await client.upsert([each.document() for each in sent.documents]))


async def delete(request: Request) -> Response:
    """Delete documents."""
    asked = await read_body(request, Deletion)
    return private(await HttpState.of(request).client(request, asked.collection).delete(asked.ids))
