"""Models of the API: a collection, and a collection with a fixed mode (``NAME:strict``)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from expertrag.api.errors import NotFound
from expertrag.api.types import GateMode

T = TypeVar("T")

MODES = (GateMode.AUTO, GateMode.STRICT, GateMode.ALWAYS, GateMode.NEVER)
_UNKNOWN = "COLLECTION_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class NamedModel:
    """What a model's name says."""

    collection: str
    mode: GateMode = GateMode.AUTO

    @classmethod
    def of(cls, name: str) -> NamedModel:
        """Parse a name."""
        collection, colon, mode = name.rpartition(":")
        if colon and mode in MODES[1:]:
            return cls(collection, GateMode(mode))
        return cls(name)

    @property
    def name(self) -> str:
        """The name."""
        return self.collection if self.mode is GateMode.AUTO else f"{self.collection}:{self.mode}"


def unknown_model(name: str) -> NotFound:
    """Return the error for a name that is no model's."""
    return NotFound(
        f"model: {name!r:.100} is none of this server; GET /v1/models lists them",
        reason="MODEL_NOT_FOUND",
        metadata={"field": "model"},
    )


@contextmanager
def naming_model(name: str) -> Iterator[None]:
    """Call a collection that does not exist a model that does not exist, in the block."""
    try:
        yield
    except NotFound as error:
        raise (unknown_model(name) if error.reason == _UNKNOWN else error) from error


async def naming_models(events: AsyncGenerator[T], name: str) -> AsyncGenerator[T]:
    """Yield events; see :func:`naming_model`."""
    with naming_model(name):
        async with aclosing(events):
            async for event in events:
                yield event
