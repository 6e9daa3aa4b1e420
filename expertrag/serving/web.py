"""The HTTP door with the MCP door inside: ``/mcp``, over streamable HTTP."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractAsyncContextManager

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from expertrag.config import Config
from expertrag.serving.http import HttpServer
from expertrag.serving.http.body import receive_body
from expertrag.serving.http.state import HttpState
from expertrag.serving.mcp import LOOPBACK, McpEndpoint, mcp_server


def http_server(config: Config) -> HttpServer:
    """Return the HTTP server of a configuration, which also serves MCP.

    :raises InvalidArgument: if the address is beyond loopback without TLS.
    """
    return HttpServer(config, McpRoute)


class McpRoute:
    """Serves MCP while ``running`` is entered; a caller needs a token wherever calls need one."""

    def __init__(self, shared: HttpState, hosts: Collection[str] | None) -> None:
        """Serve the callers of ``shared``.

        :param hosts: names of the server besides the loopback's names; None accepts any.
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
        """Answer a request; its body counts among the bodies of all requests.

        Raises as ``receive_body`` does.

        :raises Unauthenticated: the token is missing, or not accepted.
        """
        request = Request(scope, receive)
        if request.method == "POST":  # no other is read
            receive = _replay(await receive_body(request, self._shared), receive)
        else:
            self._shared.caller(request)
        await self._endpoint(scope, receive, send)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was received, and then what comes: that the caller left."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
