"""Clients of the server for the callers of HTTP requests, in process."""

from __future__ import annotations

from functools import partial
from typing import Any, cast

from starlette.requests import HTTPConnection

from expertrag.api.errors import Unauthenticated
from expertrag.client.aclient import AsyncClient
from expertrag.client.connection import TOKEN
from expertrag.serving.core.core import Core
from expertrag.serving.http.backend import CoreBackend


class CallerClient(AsyncClient):
    """The client of one request: its calls are operations of the core, made by its caller."""

    def __init__(self, backend: CoreBackend) -> None:
        self._backend = cast("Any", backend)  # it has what the handlers of requests call

    @classmethod
    def of(cls, core: Core, request: HTTPConnection, collection: str = "") -> CallerClient:
        """Return the client of a request's caller.

        :param collection: its name; empty for the caller's default.
        :raises Unauthenticated: the token is none that a client could send.
        """
        state = request.scope["state"]
        size = partial(state.pop, "size", 0)
        return cls(CoreBackend(core, state["request_id"], bearer(request), collection, size))


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
