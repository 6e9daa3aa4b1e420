"""The routes of the HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from expertrag.api.errors import ExpertRAGError, InvalidArgument, NotFound
from expertrag.serving.http.access_log import AccessLog
from expertrag.serving.http.console.routes import console_routes
from expertrag.serving.http.errors import body_of, log_unexpected, response_of
from expertrag.serving.http.middleware import CrowdCheck, Holding, HostCheck, RequestIds
from expertrag.serving.http.openai import chat_request, responses_request
from expertrag.serving.http.openai.chat import chat
from expertrag.serving.http.openai.embeddings import embeddings
from expertrag.serving.http.openai.models import model, models
from expertrag.serving.http.openai.responses import responses
from expertrag.serving.http.state import HttpState

_PARAMS = {
    "/v1/chat/completions": chat_request.PARAMS,
    "/v1/responses": responses_request.PARAMS,
    "/v1/embeddings": {"texts": "input", "collection": "model"},
}
"""Names of our fields, by path."""


class Mount(Protocol):
    """What is served at a route while ``running`` is entered."""

    @property
    def route(self) -> Route:
        """The route."""

    def running(self) -> AbstractAsyncContextManager[None]:
        """Serve while this context is open."""


MountOf = Callable[[HttpState, Collection[str] | None], Mount]
"""Makes a mount from what all requests share, and the names of the server."""


def http_app(
    shared: HttpState, hosts: Collection[str] | None, mounts: Sequence[MountOf] = ()
) -> Starlette:
    """Return the app.

    :param hosts: names of the server besides the loopback's names; None accepts any.
    :param mounts: make what is served next to OpenAI's API and the console.
    """
    mounted = [make(shared, hosts) for make in mounts]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as running:
            for mount in mounted:
                await running.enter_async_context(mount.running())
            yield

    routes = [
        *(mount.route for mount in mounted),
        Route("/health", health),
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/responses", responses, methods=["POST"]),
        Route("/v1/embeddings", embeddings, methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        *console_routes(),
    ]
    middleware = [
        Middleware(RequestIds),
        Middleware(AccessLog, routes=routes, metrics=shared.core.metrics),
        Middleware(Holding),
        Middleware(CrowdCheck),
    ]
    if hosts is not None:
        middleware.append(Middleware(HostCheck, hosts=hosts))
    app = Starlette(
        lifespan=lifespan,
        routes=routes,
        middleware=middleware,
        exception_handlers={
            ExpertRAGError: _answer_refusal,
            HTTPException: _no_route,
            Exception: _answer_failure,
        },
    )
    app.state.shared = shared
    return app


async def health(request: Request) -> Response:
    """Tell whether the server has loaded its models, and what it serves; needs no token."""
    shared = HttpState.of(request)
    await shared.check_ready()
    metrics = shared.core.metrics
    body: dict[str, object] = {"status": "ok"}
    if generation := metrics.generation():
        body["generation"] = generation
    if (replica := metrics.replica()) is not None:
        behind = round(replica.seconds_behind, 1)
        body |= {"role": replica.role, "newest": replica.newest, "seconds_behind": behind}
    return JSONResponse(body)


async def _answer_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, ExpertRAGError)
    return response_of(error, request.scope, _PARAMS.get(request.url.path))


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    known: ExpertRAGError = NotFound(f"there is no {path!r:.100}", reason="NO_ROUTE")
    if error.status_code == 405:
        known = InvalidArgument(f"{path} does not take {request.method}", reason="NO_METHOD")
    request.state.reason = known.reason
    return JSONResponse(body_of(known), error.status_code, error.headers)


async def _answer_failure(request: Request, error: Exception) -> Response:
    return response_of(log_unexpected(error, request.state.request_id), request.scope)
