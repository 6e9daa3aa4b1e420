"""Documents as MCP shows them: their URIs and links, and their whole text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from expertrag.api.citing import document_url
from expertrag.api.documents import DocumentText
from expertrag.api.errors import Conflict
from expertrag.api.validation import invalid

if TYPE_CHECKING:
    from expertrag.client import AsyncClient
    from expertrag.serving.mcp.tool import Deadline

_PREFIX = "expertrag://document/"
URI_TEMPLATE = _PREFIX + "{id}"
"""Template of a document's URI, by RFC 6570: the id is percent-encoded."""

SOURCE = "File or page that the document is from; 'api' for one that was sent."
"""Description of a document's source, which a caller can cite where there is no link."""

MOST_CHARACTERS = 2_000_000
"""Characters of a document that are read at most: about half a million tokens."""


@dataclass(frozen=True, slots=True)
class DocumentLinks:
    """Where a person can open a document: in the console at ``base_url``, if there is one."""

    base_url: str = ""

    def url_of(self, document_id: str, source: str) -> str:
        """Return the URL of the console's view of a document, else of the web page it is from.

        Empty if there is neither: the name of a file leads nowhere on another machine.
        """
        if not self.base_url:
            return source if source.startswith(("https://", "http://")) else ""
        return document_url(self.base_url, document_id)


def uri_of(document_id: str) -> str:
    """Return the URI of a document as a resource."""
    return _PREFIX + quote(document_id, safe="")


def id_of(uri: str) -> str:
    """Return the id of the document that a URI names.

    :raises InvalidArgument: it is not the URI of a document.
    """
    encoded = uri.removeprefix(_PREFIX)
    try:
        document_id = unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        document_id = ""
    if encoded == uri or not document_id:
        raise invalid(
            "uri", f"is not the URI of a document; write {URI_TEMPLATE} with the id percent-encoded"
        )
    return document_id


async def read_document(
    client: AsyncClient, document_id: str, deadline: Deadline, most: int = MOST_CHARACTERS
) -> DocumentText:
    """Read a document range by range, up to ``most`` characters.

    :raises NotFound: there is no such document.
    :raises Conflict: it changed meanwhile.
    """
    first = part = await client.documents.get(document_id, end=most, **deadline)
    texts = [part.text]
    while part.end < min(first.document.characters, most) and part.text:
        part = await client.documents.get(document_id, start=part.end, end=most, **deadline)
        if part.document != first.document:
            raise Conflict(f"document {document_id!r} changed while it was read; read it again")
        texts.append(part.text)
    return DocumentText(first.document, "".join(texts), 0, part.end, first.generation)
