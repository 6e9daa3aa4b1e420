"""HTTP/1.1 of a connection, with limits that uvicorn does not have."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from expertrag.runtime.descriptors import connections_of_a_port

HEAD_S = 10.0
"""Time for the request line and the headers, from the connection or the first byte on."""
STALLED_S = 60.0
"""Time for a caller that does not read, once the buffers are full."""
MAX_CONNECTIONS = 1_000
"""Connections at a time, idle ones and streams included; requests on others get 503."""
CROWDED = "crowded"
"""Says in the state of a request that its connection is beyond the limit."""


def most_connections() -> int:
    """Return the number of connections whose requests are served."""
    return min(MAX_CONNECTIONS, connections_of_a_port() // 2)


def most_waiting() -> int:
    """Return the number of connections beyond them that get 503, and of those that may wait.

    asyncio accepts all that wait before it looks at the first.
    """
    return min(MAX_CONNECTIONS, connections_of_a_port() // 4)


class PunctualProtocol(H11Protocol):
    """Closes connections that send nothing, or their headers byte by byte, or do not read."""

    _head_timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        _send_at_once(transport)
        beyond = len(self.connections) - most_connections()
        if beyond > 0:
            self.app_state = {**self.app_state, CROWDED: True}
        if beyond > most_waiting():
            transport.abort()
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request."""
        super().data_received(data)
        if self._idle and self._head_timer is None:
            self._await_head()

    def pause_writing(self) -> None:
        """Begin to wait for the caller to read."""
        super().pause_writing()
        self._stall_timer = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """Write on."""
        self._end_stall()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._end_stall()
        super().connection_lost(exc)

    def _end_stall(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

    @property
    def _idle(self) -> bool:
        """Whether no request has come whose response is not complete."""
        cycle: Any = self.cycle
        return cycle is None or cycle.response_complete

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        # between two requests, the time that a connection may be idle is uvicorn's
        if self._idle and self.timeout_keep_alive_task is None and not self.transport.is_closing():
            self.transport.close()


def _send_at_once(transport: asyncio.Transport) -> None:
    """Send small writes at once: the body of a response else waits 40 ms for its head's receipt.

    asyncio does so by itself only for sockets that were made with the number of TCP.
    """
    connection = transport.get_extra_info("socket")
    if connection.family != socket.AF_UNIX:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
