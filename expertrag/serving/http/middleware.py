"""What every request passes: its id, and checks of its connection and its host."""

from __future__ import annotations

import re
from collections.abc import Collection
from contextlib import ExitStack

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expertrag.api.errors import PermissionDenied, Unavailable
from expertrag.serving.core.context import REQUEST_ID_KEY, request_id_of
from expertrag.serving.http import protocol
from expertrag.serving.http.errors import response_of

_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


class RequestIds:
    """Gives each request an id, the caller's if it sends one, and returns it in a header."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = request_id_of(Headers(scope=scope).get(REQUEST_ID_KEY))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID_KEY] = request_id
            await send(message)

        await self._app(scope, receive, send_with_id)


class Holding:
    """Lets go, at the end of each request, of what it held: memory for its body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        with ExitStack() as held:
            scope.setdefault("state", {})["held"] = held
            await self._app(scope, receive, send)


class CrowdCheck:
    """Refuses requests on connections beyond the limit, and closes these connections."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope.get("state", {}).get(protocol.CROWDED):
            most = protocol.most_connections()
            error = Unavailable(
                f"the server has {most:,} connections; try again in a moment",
                reason="TOO_MANY_CONNECTIONS",
            )
            response = response_of(error, scope)
            response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)


class HostCheck:
    """Refuses requests for other hosts, on a server that only this machine reaches.

    A page of another site cannot read it then, by a name that it lets point to this machine (DNS
    rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        """Accept ``hosts`` besides the loopback's names."""
        self._app = app
        self._hosts = _LOCAL.union(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            name = re.sub(r":\d+$", "", host).lower()
            if name not in self._hosts:
                error = PermissionDenied(
                    f"host: {host!r:.100} is not a name of this server; add it to --http-host",
                    reason="HOST_REFUSED",
                    metadata={"field": "host"},
                )
                await response_of(error, scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)
