"""``GET /v1/models``: each collection, alone and with each adapter, and each with a fixed mode."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from expertrag.api.adapters import AdapterInfo
from expertrag.api.errors import InvalidArgument
from expertrag.client import AsyncClient
from expertrag.serving.http.openai.model_names import MODES, NamedModel, unknown_model
from expertrag.serving.http.state import HttpState


async def models(request: Request) -> Response:
    """List the models that the caller may name."""
    return JSONResponse({"object": "list", "data": await _models(request)})


async def model(request: Request) -> Response:
    """Return one model."""
    name = request.path_params["name"]
    known = await _models(request)
    for each in known:
        if each["id"] == name:
            return JSONResponse(each)
    raise unknown_model(name, [each["id"] for each in known])


async def _models(request: Request) -> list[dict[str, Any]]:
    shared = HttpState.of(request)
    shared.caller(request)
    client = shared.client(request)
    adapters = ["", *(adapter.name for adapter in await _adapters(client))]
    named = [
        NamedModel(collection.name, mode, adapter).name
        for collection in await client.collections()
        for adapter in adapters
        for mode in MODES
    ]
    return [
        {"id": name, "object": "model", "created": shared.opened, "owned_by": "expertrag"}
        for name in named
    ]


async def _adapters(client: AsyncClient) -> list[AdapterInfo]:
    """Return the adapters; none of a model that takes none."""
    try:
        return await client.adapters()
    except InvalidArgument:
        return []
