"""``GET /v1/models``: each collection, and each with a fixed mode."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from expertrag.http.openai.model_names import MODES, NamedModel, unknown_model
from expertrag.http.state import HttpState


async def models(request: Request) -> Response:
    """List the models that the caller may name."""
    return JSONResponse({"object": "list", "data": await _models(request)})


async def model(request: Request) -> Response:
    """Return one model."""
    name = request.path_params["name"]
    for known in await _models(request):
        if known["id"] == name:
            return JSONResponse(known)
    raise unknown_model(name)


async def _models(request: Request) -> list[dict[str, Any]]:
    shared = HttpState.of(request)
    shared.caller(request)
    found = await shared.client(request).collections()
    named = [NamedModel(collection.name, mode).name for collection in found for mode in MODES]
    return [
        {"id": name, "object": "model", "created": shared.opened, "owned_by": "expertrag"}
        for name in named
    ]
