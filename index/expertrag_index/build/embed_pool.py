"""Where texts are embedded while a writer prepares others: here a thread of its own process."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from expertrag_index.errors import IndexStoreError
from expertrag_index.store.rows import pack_vectors
from expertrag_index.types import DocumentEmbedder

Packed = list[bytes | None]
"""Vectors as the store keeps them, a text each; None where one is not finite."""


class EmbedPool(Protocol):
    """Embeds batches of texts in the background; every pool gives the same vectors."""

    @property
    def ahead(self) -> int:
        """Batches of documents that the writer keeps in flight: bounds its memory."""
        ...

    def submit(
        self, embedder: DocumentEmbedder, texts: Sequence[str], expert: str
    ) -> Future[Packed]:
        """Begin to embed texts by one expert of ``embedder``, or of a copy elsewhere.

        A batch that has not started can be cancelled.
        """
        ...


class EmbedThread:
    """Embeds in one thread of this process, which is started at the first batch."""

    ahead = 2  # one that is embedded, and one that waits for it

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "embed")

    def submit(
        self, embedder: DocumentEmbedder, texts: Sequence[str], expert: str
    ) -> Future[Packed]:
        """Begin to embed texts by one expert.

        The future raises IndexStoreError if the embedder returns vectors of an unexpected shape.
        """
        return self._thread.submit(embed_packed, embedder, texts, expert)

    def close(self) -> None:
        """End the thread."""
        self._thread.shutdown(cancel_futures=True)


def embed_packed(embedder: DocumentEmbedder, texts: Sequence[str], expert: str) -> Packed:
    """Embed texts by one expert.

    :raises IndexStoreError: the embedder returns vectors of an unexpected shape.
    """
    vectors = embedder.encode_documents(texts, expert)
    expected = (len(texts), embedder.dimension)
    if vectors.shape != expected:
        raise IndexStoreError(
            f"embedder {embedder.name} returned vectors of shape {vectors.shape} "
            f"instead of {expected}: use another embedder"
        )
    return pack_vectors(vectors)
