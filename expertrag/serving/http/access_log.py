"""Counts HTTP requests, and logs those that are refused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from expertrag.serving.core.metrics import Metrics

HUNG_UP = 499
"""Status of a request whose caller hung up before its response; nginx also has it."""
NO_ROUTE = "other"

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBED = "/health"
_log = structlog.get_logger("expertrag.http")


class AccessLog:
    """Counts each request by route and status; a refused one gets a line in the log.

    An answered request has the line of its gRPC call. The line of a refused request names the
    caller, if known, and the reason, never the content. Health probes are only counted.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[Route], metrics: Metrics) -> None:
        """Serve ``app``, whose routes are ``routes``."""
        self._app = app
        self._routes = routes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, gone = time.perf_counter(), 0, False

        async def receive_noting() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = HUNG_UP if gone else message["status"]
            await send(message)

        try:
            await self._app(scope, receive_noting, send_noting)
        except Exception:
            status = status or 500  # the response follows
            raise
        finally:
            try:
                self._log_end(scope, status or HUNG_UP, time.perf_counter() - began)
            except Exception as error:  # a response was sent: the connection must not end here
                with suppress(Exception):
                    _log.error("request not counted", exc_info=error)

    def _log_end(self, scope: Scope, status: int, seconds: float) -> None:
        route = self._route_of(scope)
        self._metrics.http_requests.labels(route, str(status)).inc()
        if status < 400 or route == _PROBED:
            return
        state = scope["state"]
        _log.info(
            "refused",
            request_id=state["request_id"],
            method=scope["method"] if scope["method"] in _METHODS else NO_ROUTE,
            route=route,
            status=status,
            ms=round(seconds * 1000, 1),
            **{name: state[name] for name in ("reason", "caller") if state.get(name)},
        )

    def _route_of(self, scope: Scope) -> str:
        """Return the path of the route, of which there are few, unlike paths."""
        for route in self._routes:
            if route.matches(scope)[0] is not Match.NONE:
                return route.path
        return NO_ROUTE
