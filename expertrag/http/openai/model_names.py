"""Models of the API: a collection, with a fixed mode (``NAME:strict``), an adapter, or both.

``NAME@ADAPTER`` answers with an adapter (LoRA) of the language model, ``NAME@ADAPTER:strict`` also
in a mode.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from expertrag.api.errors import InvalidArgument, NotFound
from expertrag.api.types import GateMode

T = TypeVar("T")

MODES = (GateMode.AUTO, GateMode.STRICT, GateMode.ALWAYS, GateMode.NEVER)
_UNKNOWN = ("COLLECTION_NOT_FOUND", "ADAPTER_NOT_FOUND")


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What a model's name says."""

    collection: str
    mode: GateMode = GateMode.AUTO
    adapter: str = ""

    @classmethod
    def of(cls, name: str) -> NamedModel:
        """Parse a name."""
        named, colon, mode = name.rpartition(":")
        fixed = bool(colon) and mode in MODES[1:]
        collection, _, adapter = (named if fixed else name).partition("@")
        return cls(collection, GateMode(mode) if fixed else GateMode.AUTO, adapter)

    @property
    def name(self) -> str:
        """The name."""
        named = f"{self.collection}@{self.adapter}" if self.adapter else self.collection
        return named if self.mode is GateMode.AUTO else f"{named}:{self.mode}"


def unknown_model(name: str) -> NotFound:
    """Return the error for a name that is no model's."""
    return NotFound(
        f"model: {name!r:.100} is none of this server; GET /v1/models lists them",
        reason="MODEL_NOT_FOUND",
        metadata={"field": "model"},
    )


@contextmanager
def naming_model(name: str) -> Iterator[None]:
    """Call an unknown collection or adapter an unknown model, in the block."""
    try:
        yield
    except (NotFound, InvalidArgument) as error:
        raise (unknown_model(name) if error.reason in _UNKNOWN else error) from error


async def naming_models(events: AsyncGenerator[T], name: str) -> AsyncGenerator[T]:
    """Yield events; see :func:`naming_model`."""
    with naming_model(name):
        async with aclosing(events):
            async for event in events:
                yield event
