"""Content-addressed vectors: each distinct text is embedded once, and stored soon after.

The ``vectors`` table belongs to no generation: a killed build that is run again reuses it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from itertools import groupby

from expertrag_index.build.embed_pool import EmbedPool, Packed
from expertrag_index.store.rows import content_digest, row_digest
from expertrag_index.types import Chunk, DocumentEmbedder

_LOOKED_UP = 500  # vectors in one query; SQLite allows 999 parameters, or more


@dataclass(frozen=True, slots=True)
class ChunkContent:
    """A text to embed, the expert that embeds it, and the address of its vector."""

    hash: bytes
    expert: str
    text: str


def content_of(chunk: Chunk, expert: str, fingerprint: str) -> ChunkContent:
    """Return what the expert with this fingerprint embeds for a chunk."""
    text = chunk.embedding_text
    return ChunkContent(content_digest(fingerprint, text), expert, text)


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Contents that are embedded together; their vectors as stored, None where not finite."""

    contents: Sequence[ChunkContent]
    vectors: Future[Packed]


class EmbeddingWriter:
    """Has a pool embed texts that have no vector yet, while the caller prepares others."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        embedder: DocumentEmbedder,
        pool: EmbedPool,
        batch: int,
        done: Callable[[Sequence[ChunkContent]], None],
    ) -> None:
        """Embed ``batch`` texts in one call; ``done`` gets the texts that have vectors."""
        self._connection = connection
        self._embedder = embedder
        self._pool = pool
        self._batch = batch
        self._done = done
        self._made: dict[bytes, bytes] = {}  # not yet in the database
        self._begun: set[bytes] = set()  # not yet collected
        self._failed: set[bytes] = set()
        self.embedded = 0

    def begin(self, contents: Iterable[ChunkContent]) -> list[EmbeddedBatch]:
        """Begin to embed the contents that have no vector; the caller collects them in order."""
        distinct = {content.hash: content for content in contents}
        known = self._find_known(distinct)
        self._done([distinct[key] for key in known])
        new = [item for key, item in distinct.items() if key not in known]
        self._begun.update(item.hash for item in new)
        return [EmbeddedBatch(items, self._submit(items)) for items in self._batches(new)]

    def _submit(self, items: Sequence[ChunkContent]) -> Future[Packed]:
        texts = [item.text for item in items]
        return self._pool.submit(self._embedder, texts, items[0].expert)

    def collect(self, batch: EmbeddedBatch) -> None:
        """Wait for a batch; its vectors are stored by the next ``store``.

        :raises IndexStoreError: the embedder returns vectors of an unexpected shape.
        """
        self._keep(batch)
        self.embedded += len(batch.contents)
        self._done(batch.contents)

    def _keep(self, batch: EmbeddedBatch) -> None:
        vectors = batch.vectors.result()
        for item, vector in zip(batch.contents, vectors, strict=True):
            self._begun.discard(item.hash)
            if vector is None:
                self._failed.add(item.hash)
            else:
                self._made[item.hash] = vector

    def has_failed(self, content: ChunkContent) -> bool:
        """Whether a collected content has no finite vector."""
        return content.hash in self._failed

    @property
    def waiting(self) -> int:
        """Number of vectors that the next ``store`` writes."""
        return len(self._made)

    def store(self) -> None:
        """Store the collected vectors, in the caller's transaction."""
        rows = [(key, row_digest(key, vector), vector) for key, vector in self._made.items()]
        self._connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
        self._made.clear()

    def give_up(self, begun: Sequence[EmbeddedBatch]) -> None:
        """End the batches that have begun; the vectors of those that are made can be stored."""
        for batch in begun:
            batch.vectors.cancel()
        wait([batch.vectors for batch in begun])
        for batch in begun:
            if not batch.vectors.cancelled() and batch.vectors.exception() is None:
                self._keep(batch)

    def _find_known(self, keys: Collection[bytes]) -> set[bytes]:
        """Return those that have a sound vector, or will have one before they are needed."""
        known = {key for key in keys if key in self._begun or key in self._made}
        asked = [key for key in keys if key not in known]
        for start in range(0, len(asked), _LOOKED_UP):
            part = asked[start : start + _LOOKED_UP]
            query = f"""SELECT content_hash, checksum, embedding FROM vectors
                WHERE content_hash IN ({", ".join("?" * len(part))})"""
            for key, checksum, vector in self._connection.execute(query, part):
                if checksum == row_digest(key, vector):
                    known.add(key)
        return known

    def _batches(self, contents: Sequence[ChunkContent]) -> Iterator[list[ChunkContent]]:
        # one expert per call; long texts first, so that padding is small and memory peaks early
        ordered = sorted(contents, key=lambda item: (item.expert, -len(item.text)))
        for _, group in groupby(ordered, key=lambda item: item.expert):
            items = list(group)
            for start in range(0, len(items), self._batch):
                yield items[start : start + self._batch]
