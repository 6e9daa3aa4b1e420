"""MCP over stdin and stdout, as desktop applications and editors start servers."""

from __future__ import annotations

from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until stdin is closed.

    Meanwhile whatever else is written to stdout goes to stderr: stdout holds the protocol alone.
    """
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())
