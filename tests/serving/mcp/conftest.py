"""The package's own client, connected to our MCP server in memory or over HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import uvicorn
from mcp import Client
from mcp_helper import ERAS, Connected, ServeHttp, T, Talk, Use
from serving_fixtures import Background, wait_until
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp

from expertrag.client import AsyncClient
from expertrag.serving.mcp import McpEndpoint, mcp_server


@pytest.fixture
def connected(background: Background) -> Iterator[Connected]:
    """Opens asyncio clients of ours; closes them after the test."""
    opened: list[AsyncClient] = []

    def make(target: Any, **options: Any) -> AsyncClient:
        opened.append(AsyncClient(target, **options))
        return opened[-1]

    yield make
    for client in opened:
        background.run(client.close())


@pytest.fixture(params=ERAS)
def talk(request: pytest.FixtureRequest, background: Background) -> Talk:
    """Connects an MCP client in memory to a server over a client of ours; runs ``use`` with it."""

    def run(use: Use[T], client: AsyncClient, writes: bool = False, **options: Any) -> T:
        async def session() -> T:
            server = mcp_server(lambda _: client, writes=writes, **options)
            async with Client(server, mode=request.param) as session:
                return await use(session)

        return background.run(session())

    return run


@pytest.fixture
def serve_http(background: Background) -> Iterator[ServeHttp]:
    """Serves an application in front of an endpoint on loopback; returns its URL."""
    stops: list[Callable[[], Awaitable[None]]] = []

    def serve(app: ASGIApp, endpoint: McpEndpoint) -> str:
        listening = socket.create_server(("127.0.0.1", 0))
        outer = Starlette(routes=[Route("/mcp", app)], lifespan=lambda _: endpoint.running())
        stops.append(background.run(_started(outer, listening)))
        return f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"

    yield serve
    for stop in stops:
        background.run(stop())


async def _started(app: ASGIApp, listening: socket.socket) -> Callable[[], Awaitable[None]]:
    """Start an HTTP server, and return what stops it."""
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    await asyncio.to_thread(wait_until, lambda: server.started)

    async def stop() -> None:
        server.should_exit = True
        await running
        listening.close()

    return stop
