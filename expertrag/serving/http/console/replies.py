"""Replies of the console's API."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse

from expertrag.api.jsonable import to_json

_PRIVATE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def private(value: Any) -> JSONResponse:
    """Return a value object as JSON that no cache keeps."""
    return JSONResponse(to_json(value), headers=_PRIVATE)
