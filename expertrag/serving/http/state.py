"""What the handlers of requests share."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from time import time

from starlette.requests import Request

from expertrag.api.errors import Unauthenticated, Unavailable
from expertrag.auth import Caller
from expertrag.client.aclient import AsyncClient
from expertrag.serving.core.core import Core
from expertrag.serving.core.health import OVERALL
from expertrag.serving.core.inflight import InFlight
from expertrag.serving.http.backend import credentials
from expertrag.serving.http.clients import CallerClient, bearer

READY_S = 0.5
"""How long a health probe waits for a server that becomes ready."""


@dataclass(frozen=True, slots=True)
class HttpState:
    """The core of the server, and the bodies of requests.

    ``in_flight``: bodies that are being received, and bodies of requests that are running.
    """

    core: Core
    in_flight: InFlight
    opened: int = field(default_factory=lambda: int(time()))

    @classmethod
    def of(cls, request: Request) -> HttpState:
        """Return the state of the app that serves a request."""
        shared: HttpState = request.app.state.shared
        return shared

    @property
    def answer_s(self) -> float:
        """Seconds that an answer may take."""
        return self.core.config.max_deadline_s

    @property
    def allow_writes(self) -> bool:
        """Whether documents may be added and deleted."""
        return self.core.config.allow_writes

    async def check_ready(self) -> None:
        """Check that the server has loaded its models, none is stuck, and it does not stop.

        :raises Unavailable: if it is not so.
        """
        health = self.core.health
        health.asked = True
        with suppress(TimeoutError):
            async with asyncio.timeout(READY_S):
                await health.wait_change(OVERALL, False)
        if not health.serving():
            message = "the models are still loading or stuck, or the server stops; try again"
            raise Unavailable(message, reason="LOADING")

    def caller(self, request: Request) -> Caller:
        """Return who sent a request, before its body is received.

        :raises Unauthenticated: the token is missing, or not accepted.
        """
        token = bearer(request)
        authenticator = self.core.authenticator
        if token is None and not authenticator.open:
            raise Unauthenticated(
                "this server needs a token: send it as Authorization: Bearer TOKEN",
                reason="TOKEN_MISSING",
            )
        caller = authenticator.caller(credentials(token))
        request.state.caller = caller.identity  # for the log
        return caller

    def client(self, request: Request, collection: str = "") -> AsyncClient:
        """Return the client of a request's caller, for a collection."""
        return CallerClient.of(self.core, request, collection)

    def base_url(self, request: Request) -> str:
        """Return the address by which the caller has reached the server."""
        return str(request.base_url).rstrip("/")
