"""``/mcp``: the Model Context Protocol, over streamable HTTP."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from expertrag.http.state import HttpState
from expertrag.mcp import LOOPBACK, McpEndpoint, mcp_server


class McpRoute:
    """Serves MCP while ``running`` is entered; a caller needs a token wherever calls need one."""

    def __init__(self, shared: HttpState, hosts: Collection[str] | None) -> None:
        """Serve the callers of ``shared``.

        :param hosts: names of the server besides those of the loopback; None accepts any.
        """
        self._shared = shared
        server = mcp_server(shared.client, writes=shared.allow_writes, base_url_of=shared.base_url)
        self._endpoint = McpEndpoint(server, hosts=None if hosts is None else (*LOOPBACK, *hosts))

    @property
    def route(self) -> Route:
        """The route; a mount would redirect its path to one with a slash."""
        return Route("/mcp", endpoint=self)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve while this context is open."""
        return self._endpoint.running()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        :raises Unauthenticated: the token is missing, or not accepted.
        """
        self._shared.caller(Request(scope))
        await self._endpoint(scope, receive, send)
