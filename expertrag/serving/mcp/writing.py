"""The tools ``add_document`` and ``delete_document``, offered where writes are allowed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import DocumentInput
from expertrag.serving.mcp.tool import McpTool, ToolCall


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class AddArguments:
    """The document to add."""

    id: Annotated[str, Field(description="A document with this id is replaced.")]
    text: str
    title: str = ""
    metadata: Annotated[
        Mapping[str, Any],
        Field(description="Strings, numbers, booleans, lists of them, and objects of them."),
    ] = field(default_factory=dict)


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class DeleteArguments:
    """The document to delete."""

    id: str


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """What happened to a document: it was added, changed, unchanged or removed.

    ``generation`` is the generation of the store which is served now.
    """

    id: str
    change: str
    generation: int


async def _add(call: ToolCall, asked: AddArguments) -> DocumentChange:
    document = DocumentInput(asked.id, asked.text, asked.title, metadata=asked.metadata)
    report = await call.client.upsert([document], **call.deadline)
    for item in report.items:
        if item.error:
            raise InvalidArgument(item.error)
    change = "added" if report.added else "changed" if report.changed else "unchanged"
    return DocumentChange(asked.id, change, report.generation)


async def _delete(call: ToolCall, asked: DeleteArguments) -> DocumentChange:
    report = await call.client.delete([asked.id], **call.deadline)
    if not report.removed:
        raise NotFound(f"there is no document {asked.id!r}; search returns the ids that there are")
    return DocumentChange(asked.id, "removed", report.generation)


ADD_DOCUMENT = McpTool(
    name="add_document",
    title="Add a document",
    description="Add a document, or replace the one with its id. It can be searched at once.",
    arguments=AddArguments,
    result=DocumentChange,
    run=_add,
    writes=True,
)
DELETE_DOCUMENT = McpTool(
    name="delete_document",
    title="Delete a document",
    description="Delete a document by its id.",
    arguments=DeleteArguments,
    result=DocumentChange,
    run=_delete,
    writes=True,
)
