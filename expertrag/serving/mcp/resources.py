"""Documents as MCP resources: listed page by page, read by URI."""

from __future__ import annotations

from mcp import types

from expertrag.api.documents import DocumentInfo
from expertrag.client import AsyncClient
from expertrag.serving.mcp.documents import URI_TEMPLATE, id_of, read_document, uri_of
from expertrag.serving.mcp.tool import Deadline

MIME_TYPE = "text/plain"

TEMPLATE = types.ResourceTemplate(
    name="document",
    title="Document",
    uri_template=URI_TEMPLATE,
    description="The text of a document by its percent-encoded id.",
    mime_type=MIME_TYPE,
)


async def list_resources(
    client: AsyncClient, cursor: str | None, deadline: Deadline
) -> types.ListResourcesResult:
    """Return a page of the documents, ordered by id; ``cursor`` comes from the page before."""
    page = await client.documents.list(page_token=cursor or "", **deadline)
    return types.ListResourcesResult(
        resources=[_resource(document) for document in page.documents],
        next_cursor=page.next_page_token or None,
    )


async def read_resource(
    client: AsyncClient, uri: str, deadline: Deadline
) -> types.ReadResourceResult:
    """Return the text of the document that a URI names, as ``fetch`` does.

    :raises NotFound: there is no such document.
    :raises InvalidArgument: the URI names none.
    """
    read = await read_document(client, id_of(uri), deadline)
    return types.ReadResourceResult(
        contents=[types.TextResourceContents(uri=uri, mime_type=MIME_TYPE, text=read.text)]
    )


def _resource(document: DocumentInfo) -> types.Resource:
    return types.Resource(
        name=document.id,
        title=document.title or None,
        uri=uri_of(document.id),
        description=document.source or None,
        mime_type=MIME_TYPE,
    )
