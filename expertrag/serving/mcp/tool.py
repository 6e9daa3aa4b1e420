"""A tool of the MCP server: what it is called with, what it returns, and what it does."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypedDict, TypeVar

from mcp import types
from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from expertrag.api.errors import InvalidArgument
from expertrag.client import AsyncClient
from expertrag.serving.mcp.documents import DocumentLinks

ArgumentsT = TypeVar("ArgumentsT")


class Deadline(TypedDict, total=False):
    """The timeout of a call in seconds, as a keyword argument; empty for the client's default."""

    timeout: float


@dataclass(frozen=True, slots=True)
class ToolCall:
    """What a tool has when it is called.

    ``client`` is the client of the caller. ``report`` sends the progress of a call, a number that
    grows and a text, if the caller asked for it. ``k`` is the number of passages to answer from.
    """

    client: AsyncClient
    links: DocumentLinks
    report: Callable[[float, str], Awaitable[None]]
    k: int
    deadline: Deadline


@dataclass(frozen=True)
class McpTool(Generic[ArgumentsT]):
    """A tool: ``run`` takes ``arguments`` and returns a ``result``, both of them dataclasses.

    ``writes``: it changes the store, and may replace or delete what is there.
    """

    name: str
    title: str
    description: str
    arguments: type[ArgumentsT]
    result: type[object]
    run: Callable[[ToolCall, ArgumentsT], Awaitable[object]]
    writes: bool = False

    @cached_property
    def listing(self) -> types.Tool:
        """The tool as a client sees it, with the schemas of its arguments and of its result."""
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self._arguments.json_schema(schema_generator=_Untitled),
            output_schema=self._result.json_schema(
                schema_generator=_Untitled, mode="serialization"
            ),
            annotations=types.ToolAnnotations(
                title=self.title,
                read_only_hint=not self.writes,
                destructive_hint=self.writes,
                idempotent_hint=True,
                open_world_hint=False,
            ),
        )

    async def call(self, call: ToolCall, arguments: Mapping[str, Any]) -> types.CallToolResult:
        """Run the tool; the result is structured, and the same JSON is its text.

        :raises InvalidArgument: an argument is missing, unknown or of another type.
        """
        try:
            given = self._arguments.validate_python(dict(arguments))
        except ValidationError as error:
            raise InvalidArgument(_one_line(error), reason="INVALID_FIELD") from None
        text = self._result.dump_json(await self.run(call, given)).decode()
        return types.CallToolResult(
            content=[types.TextContent(text=text)], structured_content=json.loads(text)
        )

    @cached_property
    def _arguments(self) -> TypeAdapter[ArgumentsT]:
        return TypeAdapter(self.arguments)

    @cached_property
    def _result(self) -> TypeAdapter[object]:
        return TypeAdapter(self.result)


class _Untitled(GenerateJsonSchema):
    """Schemas without a title for each field, which would repeat its name to the model."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _one_line(error: ValidationError) -> str:
    """Return which arguments are wrong and why, without their values."""
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'arguments'}: {item['msg']}"
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    )
