"""The tools ``search`` and ``fetch``, in the form that ChatGPT's connectors ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config

from expertrag.api.types import Passage
from expertrag.serving.mcp.documents import MOST_CHARACTERS, SOURCE, read_document
from expertrag.serving.mcp.tool import McpTool, ToolCall

SEARCHED_PASSAGES = 20
"""Passages of a search; each document is listed once, at its best passage."""

TOTAL, RETURNED = "expertrag.characters", "expertrag.returned_characters"
"""Metadata of a document that is longer than what is returned of it."""


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class SearchArguments:
    """What to search for."""

    query: Annotated[str, Field(description="A question, or words that the documents use.")]


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A document in which a passage was found."""

    id: Annotated[str, Field(description="Give it to fetch.")]
    title: str
    url: Annotated[str, Field(description="Where a person can open it; may be empty.")]
    source: Annotated[str, Field(description=SOURCE)]


@dataclass(frozen=True, slots=True)
class FoundDocuments:
    """Documents in the order of their best passages."""

    results: list[FoundDocument]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class FetchArguments:
    """Which document to read."""

    id: Annotated[str, Field(description="Id of a document, as search returns it.")]


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """A document with its whole text."""

    id: str
    title: str
    text: str
    url: str
    metadata: Mapping[str, Any]


async def _search(call: ToolCall, asked: SearchArguments) -> FoundDocuments:
    result = await call.client.retrieve(asked.query, k=SEARCHED_PASSAGES, **call.deadline)
    best: dict[str, Passage] = {}
    for passage in result.passages:
        best.setdefault(passage.document_id, passage)
    return FoundDocuments(
        [
            FoundDocument(
                id, passage.title or id, call.links.url_of(id, passage.source), passage.source
            )
            for id, passage in best.items()
        ]
    )


async def _fetch(call: ToolCall, asked: FetchArguments) -> FetchedDocument:
    read = await read_document(call.client, asked.id, call.deadline)
    info = read.document
    metadata = {"source": info.source, **info.metadata}
    if read.end < info.characters:
        metadata |= {TOTAL: info.characters, RETURNED: read.end}
    url = call.links.url_of(info.id, info.source)
    return FetchedDocument(info.id, info.title or info.id, read.text, url, metadata)


SEARCH = McpTool(
    name="search",
    title="Search the documents",
    description="Find documents by meaning and by words. Returns the best documents with their ids "
    "and titles; fetch returns their text.",
    arguments=SearchArguments,
    result=FoundDocuments,
    run=_search,
)
FETCH = McpTool(
    name="fetch",
    title="Read a document",
    description="Return the whole text of a document with its title and metadata; of a longer one, "
    f"the first {MOST_CHARACTERS:,} characters.",
    arguments=FetchArguments,
    result=FetchedDocument,
    run=_fetch,
)
