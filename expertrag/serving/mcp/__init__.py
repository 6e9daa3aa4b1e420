"""An MCP server over a client of ours: tools and resources for assistants and agents.

    server = mcp_server(lambda _: client, writes=False)
    await serve_stdio(server)              # or McpEndpoint(server), for an HTTP server

Needs ``pip install 'expertrag[http]'``.
"""

from __future__ import annotations

from expertrag.api.errors import MissingExtra
from expertrag_common.extras import install_command

try:
    import mcp as _mcp  # noqa: F401 - the modules below import it
except ModuleNotFoundError as error:
    raise MissingExtra(
        f"MCP needs the package {error.name}; run: {install_command('http')}",
        reason="MISSING_EXTRA",
    ) from error

from expertrag.serving.mcp.endpoint import LOOPBACK, McpEndpoint
from expertrag.serving.mcp.server import ClientOf, mcp_server
from expertrag.serving.mcp.stdio import serve_stdio

__all__ = ["LOOPBACK", "ClientOf", "McpEndpoint", "mcp_server", "serve_stdio"]
