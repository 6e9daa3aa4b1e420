"""What tests of the MCP server share: the protocols to speak, and results read and checked."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from mcp import Client, MCPError, types
from starlette.types import ASGIApp

from expertrag.client import AsyncClient
from expertrag.serving.mcp import McpEndpoint

T = TypeVar("T")
MODERN, LEGACY = "2026-07-28", "legacy"
ERAS = (MODERN, LEGACY)
"""The newest protocol, and the one of the handshake before it."""

Use = Callable[[Client], Awaitable[T]]
Connected = Callable[..., AsyncClient]
Talk = Callable[..., Any]
ServeHttp = Callable[[ASGIApp, McpEndpoint], str]


def value(result: types.CallToolResult) -> Any:
    """Return the structured result of a tool, which is also its text, as JSON."""
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    assert not result.is_error, content.text
    assert json.loads(content.text) == result.structured_content
    return result.structured_content


def failure(result: types.CallToolResult) -> str:
    """Return the message of a failed call."""
    (content,) = result.content
    assert isinstance(content, types.TextContent)
    assert result.is_error
    assert result.structured_content is None
    assert "Traceback" not in content.text
    return content.text


async def refused(request: Awaitable[object]) -> MCPError:
    """Return the protocol error that a request ends with."""
    with pytest.raises(MCPError) as error:
        await request
    assert "Traceback" not in error.value.message
    return error.value
