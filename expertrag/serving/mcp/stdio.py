"""MCP over stdin and stdout, as desktop applications and editors start servers."""

from __future__ import annotations

from typing import Any

import anyio
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage


async def serve_stdio(server: Server[Any]) -> None:
    """Serve until stdin is closed and what was asked before is answered.

    Meanwhile whatever else is written to stdout goes to stderr: stdout holds the protocol alone.
    """
    read, requests = anyio.create_memory_object_stream[SessionMessage | Exception]()
    answers, written = anyio.create_memory_object_stream[SessionMessage]()
    pending = _PendingRequests()
    async with stdio_server() as (incoming, outgoing), anyio.create_task_group() as relays:

        async def relay_requests() -> None:
            async with read:
                async for item in incoming:
                    pending.add(item)
                    await read.send(item)
                await pending.wait_settled()  # the end of its requests ends the server's work

        async def relay_answers() -> None:
            async with outgoing:
                async for item in written:
                    await outgoing.send(item)
                    pending.settle(item)

        relays.start_soon(relay_requests)
        relays.start_soon(relay_answers)
        await server.run(requests, answers, server.create_initialization_options())


class _PendingRequests:
    """Requests that have been read and are still to be answered."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._changed = anyio.Event()

    def add(self, item: SessionMessage | Exception) -> None:
        """Note a request; one that is cancelled is not answered."""
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, types.JSONRPCRequest):
            self._ids.add(str(message.id))
        elif (
            isinstance(message, types.JSONRPCNotification)
            and message.method == "notifications/cancelled"
        ):
            self._forget((message.params or {}).get("requestId"))

    def settle(self, item: SessionMessage) -> None:
        """Note an answer."""
        if isinstance(item.message, types.JSONRPCResponse | types.JSONRPCError):
            self._forget(item.message.id)

    async def wait_settled(self) -> None:
        """Wait until no request is pending."""
        while self._ids:
            await self._changed.wait()

    def _forget(self, request: object) -> None:
        self._ids.discard(str(request))
        self._changed.set()
        self._changed = anyio.Event()
