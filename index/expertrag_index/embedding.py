"""Content-addressed vectors: each distinct text is embedded once, and committed batch by batch.

The ``vectors`` table belongs to no generation: a killed build that is run again reuses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from expertrag_index.errors import IndexStoreError
from expertrag_index.rows import content_digest, pack_vector, row_digest
from expertrag_index.transaction import transaction
from expertrag_index.types import Chunk, DocumentEmbedder


@dataclass(frozen=True, slots=True)
class Content:
    """A text to embed, the expert that embeds it, and the address of its vector."""

    hash: bytes
    expert: str
    text: str


def content_of(chunk: Chunk, expert: str, fingerprint: str) -> Content:
    """Return what the expert with this fingerprint embeds for a chunk."""
    text = chunk.embedding_text
    return Content(content_digest(fingerprint, text), expert, text)


class VectorWriter:
    """Embeds texts that have no vector yet."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        embedder: DocumentEmbedder,
        batch: int,
        done: Callable[[Sequence[Content]], None],
    ) -> None:
        """Embed ``batch`` texts between two commits; ``done`` is told of those that are."""
        self._connection = connection
        self._embedder = embedder
        self._batch = batch
        self._done = done
        self.embedded = 0

    def ensure(self, contents: Iterable[Content]) -> set[bytes]:
        """Ensure that every content has a vector; return the hashes of those without a finite one.

        :raises IndexStoreError: the embedder returns vectors of an unexpected shape.
        """
        distinct = {content.hash: content for content in contents}
        known = {key for key in distinct if self._has_vector(key)}
        self._done([distinct[key] for key in known])
        failed: set[bytes] = set()
        for batch in self._batches([item for key, item in distinct.items() if key not in known]):
            failed |= self._embed(batch)
            self.embedded += len(batch)
            self._done(batch)
        return failed

    def _has_vector(self, content_hash: bytes) -> bool:
        query = "SELECT checksum, embedding FROM vectors WHERE content_hash = ?"
        row = self._connection.execute(query, (content_hash,)).fetchone()
        return row is not None and row[0] == row_digest(content_hash, row[1])

    def _batches(self, contents: Sequence[Content]) -> Iterator[list[Content]]:
        # one expert per call; long texts first, so that padding is small and memory peaks early
        ordered = sorted(contents, key=lambda item: (item.expert, -len(item.text)))
        for _, group in groupby(ordered, key=lambda item: item.expert):
            items = list(group)
            for start in range(0, len(items), self._batch):
                yield items[start : start + self._batch]

    def _embed(self, batch: list[Content]) -> set[bytes]:
        vectors = self._embedder.encode_documents([item.text for item in batch], batch[0].expert)
        expected = (len(batch), self._embedder.dimension)
        if vectors.shape != expected:
            raise IndexStoreError(
                f"embedder {self._embedder.name} returned vectors of shape {vectors.shape} "
                f"instead of {expected}: use another embedder"
            )
        packed = [pack_vector(vector) for vector in vectors]
        rows = [
            (item.hash, row_digest(item.hash, blob), blob)
            for item, blob in zip(batch, packed, strict=True)
            if blob is not None
        ]
        with transaction(self._connection):
            self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        return {item.hash for item, blob in zip(batch, packed, strict=True) if blob is None}
