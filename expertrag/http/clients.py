"""Clients of the server for the callers of HTTP requests."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from expertrag.api.errors import DeadlineExceeded, Unauthenticated, Unavailable
from expertrag.client.aclient import AsyncClient
from expertrag.client.aremote import AsyncRemoteBackend
from expertrag.client.connection import TOKEN, Connection

READY_S = 0.5


class CallerClient(AsyncClient):
    """The client of one request: on the shared channel, with the caller's token."""

    def __init__(self, backend: AsyncRemoteBackend) -> None:
        self._backend = backend


class CallerClients:
    """Makes the clients of requests; use it on one event loop."""

    def __init__(self, address: str) -> None:
        """Connect at the first call.

        :param address: of the gRPC server, a socket that no other user reaches.
        """
        self._address = address
        self._backend = AsyncRemoteBackend(Connection(address))

    def of(self, request: HTTPConnection, collection: str = "") -> AsyncClient:
        """Return the client of a request's caller, for a collection.

        :param collection: its name; empty for the caller's default.
        """
        connection = Connection(
            self._address,
            token=bearer(request),
            collection=collection,
            request_id=request.scope.get("state", {}).get("request_id", ""),
        )
        return CallerClient(self._backend.sharing(connection))

    async def check_ready(self) -> None:
        """Check that the server has loaded its models.

        :raises Unavailable: if it has not.
        """
        try:
            await self._backend.wait_ready(READY_S)
        except DeadlineExceeded:
            message = "the models are still loading; try again in a moment"
            raise Unavailable(message, reason="LOADING") from None

    async def close(self) -> None:
        """Cancel running calls and disconnect."""
        await self._backend.close()


def bearer(request: HTTPConnection) -> str | None:
    """Return the bearer token of a request; None without one.

    :raises Unauthenticated: if it is none that a client could send.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return None
    if not TOKEN.fullmatch(token.strip()):
        raise Unauthenticated(
            "the token is not accepted: it has other signs than letters and digits",
            reason="TOKEN_REFUSED",
        )
    return token.strip()
