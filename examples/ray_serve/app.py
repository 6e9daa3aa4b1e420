"""Answers over HTTP from a Ray Serve deployment, which wraps the SDK's client.

    cd examples/ray_serve
    EXPERTRAG_TARGET=localhost:50051 serve run app:app
    curl -d '{"question": "What is write-ahead logging?", "mode": "always"}' localhost:8000

``EXPERTRAG_TARGET`` is the address of a server, or the folder of a store, which each replica then
opens in its own process, with its own models.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from expertrag import AsyncClient, ExpertRAGError, InvalidArgument, Overloaded
from expertrag.api.jsonable import to_json

serve: Any = importlib.import_module("ray.serve")  # no dependency of the project

STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
FIELDS = ("mode", "k", "filter", "domain")
"""Options of ``AsyncClient.answer`` that a request may set."""


class Answers:
    """A replica: one client, on the event loop of its process."""

    def __init__(self, target: str) -> None:
        self._client = AsyncClient(target)

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer ``{"question": …}``; the body of an error is ``{"error": message}``."""
        try:
            answer = await self._client.answer(**_asked(await request.body()))
        except ExpertRAGError as error:
            headers = {}
            if isinstance(error, Overloaded) and error.retry_after_s is not None:
                headers["Retry-After"] = f"{error.retry_after_s:.0f}"
            status = STATUS.get(error.code, 500)
            return JSONResponse({"error": error.message}, status, headers)
        return JSONResponse(to_json(answer))


def _asked(body: bytes) -> dict[str, Any]:
    """Return the arguments of ``AsyncClient.answer``."""
    try:
        asked = json.loads(body)
        return {
            "question": asked["question"],
            **{name: asked[name] for name in FIELDS if name in asked},
        }
    except (ValueError, LookupError, TypeError):
        raise InvalidArgument(
            'the body must be JSON with a question, such as {"question": "What is WAL?"}'
        ) from None


deployment = serve.deployment(
    num_replicas=int(os.environ.get("EXPERTRAG_REPLICAS", "2")),
    max_ongoing_requests=8,
    max_queued_requests=16,  # Serve answers the others with 503
    ray_actor_options={"num_cpus": 0.5},
)(Answers)
app = deployment.bind(os.environ.get("EXPERTRAG_TARGET", "localhost:50051"))
