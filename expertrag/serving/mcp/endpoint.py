"""MCP over streamable HTTP, as an ASGI application to mount."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.responses import Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
MAX_REQUEST_BYTES = 8 * 1024 * 1024
"""A document of 4 MiB, escaped."""


class McpEndpoint:
    """ASGI application of an MCP server, served at one path while ``running`` is entered.

        Starlette(routes=[endpoint.route()], lifespan=lambda _: endpoint.running())

    No state is kept between requests, so any process can answer any of them, and a restart loses
    none. A request is answered as JSON, or as a stream of events if its progress is reported or it
    takes long. If its caller goes away, its work ends.
    """

    def __init__(
        self,
        server: Server[Any],
        *,
        hosts: Sequence[str] | None = LOOPBACK,
        origins: Sequence[str] = (),
        max_request_bytes: int = MAX_REQUEST_BYTES,
    ) -> None:
        """Check where requests come from, against web pages that rebind their name to this address.

        :param hosts: names in the ``Host`` header that are served, at any port; None checks neither
            it nor ``Origin``, for a server where every call needs a token.
        :param origins: web pages that may call besides the pages of ``hosts``, such as
            ``https://chat.example.com``; a call without ``Origin`` is from no web page.
        :param max_request_bytes: longest request.
        """
        named = hosts or ()
        own = [f"{scheme}://{host}" for scheme in ("http", "https") for host in named]
        self._manager = StreamableHTTPSessionManager(
            server,
            stateless=True,
            security_settings=TransportSecuritySettings(
                enable_dns_rebinding_protection=hosts is not None,
                allowed_hosts=_at_any_port(named),
                allowed_origins=[*_at_any_port(own), *origins],
            ),
            max_request_body_size=max_request_bytes,
        )

    def route(self, path: str = "/mcp") -> Route:
        """Return the route of the endpoint; a mount would redirect its path to one with a slash."""
        return Route(path, endpoint=self)

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve while this context is open; it can be entered once."""
        return self._manager.run()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; only POST carries any, as the server sends nothing by itself."""
        if scope["type"] == "http" and scope["method"] != "POST":
            await Response(status_code=405, headers={"Allow": "POST"})(scope, receive, send)
            return
        await self._manager.handle_request(scope, receive, send)


def _at_any_port(names: Sequence[str]) -> list[str]:
    return [pattern for name in names for pattern in (name, f"{name}:*")]
