"""Clients of the server for the callers of HTTP requests."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from expertrag.api.errors import DeadlineExceeded, Unauthenticated, Unavailable
from expertrag.client.aclient import AsyncClient
from expertrag.client.aremote import AsyncRemoteBackend
from expertrag.client.connection import TOKEN, Connection

READY_S = 0.5
CHANNELS = 16
"""Connections to the gRPC server, of 100 calls each; there are up to 1,000 HTTP requests."""


class CallerClient(AsyncClient):
    """The client of one request: on the shared channel, with the caller's token."""

    def __init__(self, backend: AsyncRemoteBackend) -> None:
        self._backend = backend


class _OwnConnection(Connection):
    """A connection that no other channel of this process shares."""

    @property
    def options(self) -> tuple[tuple[str, str | int], ...]:
        """Options of the channel."""
        return (*super().options, ("grpc.use_local_subchannel_pool", 1))


class _Channel:
    """A channel to the server, and the number of requests that use it."""

    def __init__(self, address: str) -> None:
        self.backend = AsyncRemoteBackend(_OwnConnection(address))
        self.requests = 0

    def leave(self) -> None:
        """End a request."""
        self.requests -= 1


class CallerClients:
    """Makes the clients of requests; use it on one event loop.

    A connection of gRPC takes 100 calls at a time, and lets others wait without an answer. So there
    are several, and each request uses the least busy one.
    """

    def __init__(self, address: str) -> None:
        """Connect at the first call.

        :param address: of the gRPC server, a socket that no other user reaches.
        """
        self._address = address
        self._channels = [_Channel(address) for _ in range(CHANNELS)]
        self._health = AsyncRemoteBackend(_OwnConnection(address))

    def of(self, request: HTTPConnection, collection: str = "") -> AsyncClient:
        """Return the client of a request's caller, for a collection, until the request ends.

        :param collection: its name; empty for the caller's default.
        """
        state = request.scope["state"]
        channel = min(self._channels, key=lambda channel: channel.requests)
        channel.requests += 1
        state["held"].callback(channel.leave)
        connection = Connection(
            self._address,
            token=bearer(request),
            collection=collection,
            request_id=state["request_id"],
        )
        return CallerClient(channel.backend.sharing(connection))

    async def check_ready(self) -> None:
        """Check that the server has loaded its models, none is stuck, and it does not stop.

        :raises Unavailable: if it is not so.
        """
        try:
            await self._health.wait_ready(READY_S)
        except DeadlineExceeded:
            message = "the models are still loading or stuck, or the server stops; try again"
            raise Unavailable(message, reason="LOADING") from None

    async def close(self) -> None:
        """Cancel running calls and disconnect."""
        for backend in (self._health, *(channel.backend for channel in self._channels)):
            await backend.close()


def bearer(request: HTTPConnection) -> str | None:
    """Return the bearer token of a request; None without one.

    :raises Unauthenticated: if it is none that a client could send.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    if not TOKEN.fullmatch(token.strip()):
        raise Unauthenticated(
            "the token is not accepted: it contains characters other than letters, digits and "
            "punctuation",
            reason="TOKEN_REFUSED",
        )
    return token.strip()
