"""What the handlers of requests share."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time

from starlette.requests import Request

from expertrag.client.aclient import AsyncClient
from expertrag.http.clients import CallerClients
from expertrag.service.inflight import InFlight


@dataclass(frozen=True, slots=True)
class Door:
    """The clients of callers, and limits.

    ``answer_s``: seconds that an answer may take. ``in_flight``: bodies that are being received.
    """

    clients: CallerClients
    answer_s: float
    allow_writes: bool = False
    needs_token: bool = False
    in_flight: InFlight = field(default_factory=InFlight)
    opened: int = field(default_factory=lambda: int(time()))

    @classmethod
    def of(cls, request: Request) -> Door:
        """Return that of the app which serves a request."""
        door: Door = request.app.state.door
        return door

    def client(self, request: Request, collection: str = "") -> AsyncClient:
        """Return the client of a request's caller, for a collection."""
        return self.clients.of(request, collection)

    def base_url(self, request: Request) -> str:
        """Return the address by which the caller has reached the server."""
        return str(request.base_url).rstrip("/")
