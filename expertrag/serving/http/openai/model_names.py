"""Models of the API: a collection, with a fixed mode (``NAME:strict``), an adapter, or both.

``NAME@ADAPTER`` answers with an adapter (LoRA) of the language model, ``NAME@ADAPTER:strict`` also
in a mode.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from expertrag.api.errors import ExpertRAGError, InvalidArgument, NotFound
from expertrag.api.types import GateMode
from expertrag.client import AsyncClient

T = TypeVar("T")

MODES = (None, GateMode.AUTO, GateMode.STRICT, GateMode.ALWAYS, GateMode.NEVER)
"""Modes of a model's name; None is the default of the token, the collection or the server."""
_MOST_SHOWN = 5
_UNKNOWN = ("COLLECTION_NOT_FOUND", "ADAPTER_NOT_FOUND")


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What a model's name says."""

    collection: str
    mode: GateMode | None = None
    adapter: str = ""

    @classmethod
    def of(cls, name: str) -> NamedModel:
        """Parse a name."""
        named, colon, mode = name.rpartition(":")
        fixed = bool(colon) and mode in list(GateMode)
        collection, _, adapter = (named if fixed else name).partition("@")
        return cls(collection, GateMode(mode) if fixed else None, adapter)

    @property
    def name(self) -> str:
        """The name."""
        named = f"{self.collection}@{self.adapter}" if self.adapter else self.collection
        return f"{named}:{self.mode}" if self.mode else named


def unknown_model(name: str, known: Sequence[str] = ()) -> NotFound:
    """Return the error for a name that is not a model's.

    :param known: collections that the caller may name; none if they could not be listed.
    """
    use = f"use {' or '.join(known[:_MOST_SHOWN])}; " if known else ""
    return NotFound(
        f"model: unknown model {name!r:.100}; {use}GET /v1/models lists all",
        reason="MODEL_NOT_FOUND",
        metadata={"field": "model"},
    )


@asynccontextmanager
async def naming_model(name: str, client: AsyncClient) -> AsyncIterator[None]:
    """Call an unknown collection or adapter an unknown model, in the block."""
    try:
        yield
    except (NotFound, InvalidArgument) as error:
        if error.reason not in _UNKNOWN:
            raise
        raise unknown_model(name, await _collection_names(client)) from error


async def _collection_names(client: AsyncClient) -> list[str]:
    try:
        return [collection.name for collection in await client.collections()]
    except ExpertRAGError:
        return []


async def naming_models(
    events: AsyncGenerator[T], name: str, client: AsyncClient
) -> AsyncGenerator[T]:
    """Yield events; see :func:`naming_model`."""
    async with naming_model(name, client), aclosing(events):
        async for event in events:
            yield event
