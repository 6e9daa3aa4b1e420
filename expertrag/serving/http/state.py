"""What the handlers of requests share."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import time

from starlette.requests import Request

from expertrag.api.errors import Unauthenticated
from expertrag.auth import Authenticator, Caller
from expertrag.client.aclient import AsyncClient
from expertrag.serving.core.inflight import InFlight
from expertrag.serving.core.metrics import Metrics
from expertrag.serving.http.clients import CallerClients, bearer


@dataclass(frozen=True, slots=True)
class HttpState:
    """The clients of callers, and limits.

    ``answer_s``: seconds that an answer may take. ``in_flight``: bodies that are being received,
    and those of requests that are running.
    """

    clients: CallerClients
    authenticator: Authenticator
    answer_s: float
    metrics: Metrics
    allow_writes: bool = False
    in_flight: InFlight = field(default_factory=InFlight)
    opened: int = field(default_factory=lambda: int(time()))

    @classmethod
    def of(cls, request: Request) -> HttpState:
        """Return the state of the app that serves a request."""
        shared: HttpState = request.app.state.shared
        return shared

    def caller(self, request: Request) -> Caller:
        """Return who sent a request, before its body is received.

        :raises Unauthenticated: the token is missing, or not accepted.
        """
        token = bearer(request)
        if token is None and not self.authenticator.open:
            raise Unauthenticated(
                "this server needs a token: send it as Authorization: Bearer TOKEN",
                reason="TOKEN_MISSING",
            )
        caller = self.authenticator.caller([("authorization", f"Bearer {token}")])
        request.state.caller = caller.known_id  # for the log
        return caller

    def client(self, request: Request, collection: str = "") -> AsyncClient:
        """Return the client of a request's caller, for a collection."""
        return self.clients.of(request, collection)

    def base_url(self, request: Request) -> str:
        """Return the address by which the caller has reached the server."""
        return str(request.base_url).rstrip("/")
