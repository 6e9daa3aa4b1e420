"""What an actor of a build on Ray does: it holds a copy of the embedder, and embeds batches."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from expertrag_index.build.embed_pool import Packed, embed_packed
from expertrag_index.types import DocumentEmbedder

LoadEmbedder = Callable[[], DocumentEmbedder]
"""Loads the embedder in a process of its own; it is sent to the workers, so it can be pickled."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Why a batch has no vectors. An exception would have Ray log it, with what it may quote."""

    reason: str


class EmbedWorker:
    """Embeds batches of texts; the embedder is loaded once, at the first call."""

    def __init__(self, load: LoadEmbedder) -> None:
        self._load = load
        self._embedder: DocumentEmbedder | None = None

    def check(self, name: str, fingerprint: str) -> Failed | None:
        """Load the embedder; return what is wrong unless it has this fingerprint."""
        try:
            if self._embedder is None:
                self._embedder = self._load()
        except Exception as error:
            return Failed(f"{platform.node()} cannot load embedder {name}: {_describe(error)}")
        if self._embedder.fingerprint == fingerprint:
            return None
        return Failed(
            f"embedder {name} on {platform.node()} has the fingerprint "
            f"{self._embedder.fingerprint}, not {fingerprint}: install the same model there"
        )

    def embed(
        self, name: str, fingerprint: str, texts: Sequence[str], expert: str
    ) -> Packed | Failed:
        """Embed texts by one expert of the embedder of this fingerprint."""
        if wrong := self.check(name, fingerprint):
            return wrong
        assert self._embedder is not None
        try:
            return embed_packed(self._embedder, texts, expert)
        except Exception as error:
            return Failed(f"{platform.node()} cannot embed: {_describe(error)}")


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
