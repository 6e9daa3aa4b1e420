"""Reading one generation of a store: dense, lexical and filtered search, texts, statistics."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from expertrag_index import lexical
from expertrag_index.durable import store_errors
from expertrag_index.errors import (
    EmbedderMismatchError,
    FilterError,
    SearchError,
    StoreCorruptError,
)
from expertrag_index.filters import compile_filter
from expertrag_index.layout import Layout
from expertrag_index.manifest import Manifest
from expertrag_index.opening import Generation, open_published
from expertrag_index.rows import SELECT_CHUNKS, chunk_from_row, sorted_keys, text_digest, vectors_of
from expertrag_index.schema import LIVE
from expertrag_index.types import (
    Chunk,
    ChunkHit,
    Filter,
    FloatArray,
    KeyArray,
    TermStatistics,
)
from expertrag_index.vectors import Bitmap

MAX_K = 1000

_EXACT_LIMIT = 256  # so few admissible chunks are scored from the database, without FAISS


@dataclass(frozen=True, slots=True)
class _Selection:
    """What a filter admits: as keys, as a bitmap over keys for FAISS, as JSON for SQL."""

    keys: KeyArray
    bitmap: Bitmap
    json: str


class Index:
    """One published generation, unchanged however far a writer goes on. Safe from any thread."""

    def __init__(self, layout: Layout, generation: Generation) -> None:
        self._layout = layout
        self._generation = generation
        self._pool = generation.pool
        held = sum(segment.count for segment in generation.segments)
        self._live_bitmap = _bitmap(generation.live) if held > len(generation.live) else None
        with self._pool.connection() as connection:
            indexed = sorted_keys(connection.execute("SELECT id FROM chunks_fts_docsize"))
        dead = np.setdiff1d(indexed, generation.live, assume_unique=True)
        self._dead = json.dumps(dead.tolist()) if len(dead) else None
        # a generation never changes, so that nothing cached here can go stale
        self._select = functools.lru_cache(maxsize=32)(self._compute_selection)
        self._terms = functools.lru_cache(maxsize=64)(self._compute_terms)

    @classmethod
    def open(cls, path: Path, *, embedder_fingerprint: str | None = None) -> Index:
        """Open the published generation of the store at ``path``.

        :raises StoreNotFoundError: no store there.
        :raises StoreCorruptError: damaged, and so is the generation before.
        :raises StoreFormatError: written by a newer version.
        :raises EmbedderMismatchError: built with another embedder than ``embedder_fingerprint``.
        """
        layout = Layout(Path(path))
        with store_errors(layout):
            generation = open_published(layout)
            embedder = generation.manifest.embedder
            if embedder_fingerprint not in (None, embedder.fingerprint):
                generation.pool.close()
                raise EmbedderMismatchError(
                    f"{path} was built with embedder {embedder.name} "
                    f"({embedder.fingerprint:.12}), not {embedder_fingerprint:.12}: "
                    "use that embedder, or build another store"
                )
            return cls(layout, generation)

    def __enter__(self) -> Index:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wait for running searches and release the snapshot, so that the writer can reclaim."""
        self._pool.close()
        self._select.cache_clear()
        self._terms.cache_clear()

    @property
    def manifest(self) -> Manifest:
        """What the generation holds."""
        return self._generation.manifest

    @property
    def generation(self) -> int:
        """Number of the generation that answers."""
        return self.manifest.generation

    @property
    def dimension(self) -> int:
        """Length D of a vector."""
        return self.manifest.embedder.dimension

    @property
    def size(self) -> int:
        """Number of live chunks."""
        return len(self._generation.live)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk: the database and the vector files of this generation."""
        derived = sum(file.bytes for file in self.manifest.files)
        return self._layout.database.stat().st_size + derived

    @property
    def degraded(self) -> str:
        """Why an older generation answers and what to do, or nothing."""
        return self._generation.degraded

    def search_dense(
        self, query: FloatArray, k: int, filter: Filter | None = None
    ) -> list[ChunkHit]:
        """Find the ``k`` chunks of highest cosine with ``query`` [D], best first.

        :raises SearchError: ``k`` or ``query`` cannot be searched.
        :raises FilterError: unknown field or operator.
        """
        vector = self._unit(query)
        _check_k(k)
        selection = self._selection(filter)
        wanted = self.size if selection is None else len(selection.keys)
        if wanted == 0:
            return []
        if selection is not None and wanted <= _EXACT_LIMIT:
            return _best(selection.keys, self.dense_scores(vector, selection.keys.tolist()), k)
        allowed = self._live_bitmap if selection is None else selection.bitmap
        keys: list[KeyArray] = []
        scores: list[FloatArray] = []
        for segment in self._generation.segments:
            hits = segment.search(vector, k, allowed, wanted)
            keys.append(hits.keys)
            exact = hits.scores if hits.exact else self.dense_scores(vector, hits.keys.tolist())
            scores.append(exact)
        return _best(np.concatenate(keys), np.concatenate(scores), k)

    def search_lexical(self, query: str, k: int, filter: Filter | None = None) -> list[ChunkHit]:
        """Find the ``k`` chunks of highest BM25, best first; none if no word of ``query`` is known.

        :raises SearchError: ``k`` cannot be searched.
        :raises FilterError: unknown field or operator.
        """
        _check_k(k)
        selection = self._selection(filter)
        terms = self._terms(query)
        allowed = None if selection is None else selection.json
        with self._reading() as connection:
            return lexical.search(connection, terms, k, allowed, self._dead)

    def dense_scores(self, query: FloatArray, keys: Sequence[int]) -> FloatArray:
        """Cosines [N] of ``query`` [D] with the chunks, from the stored vectors."""
        vector = self._unit(query)
        if not len(keys):
            return np.empty(0, np.float32)
        with self._reading() as connection:
            scores: FloatArray = vectors_of(connection, np.asarray(keys, np.int64)) @ vector
        return scores

    def lexical_scores(self, query: str, keys: Sequence[int]) -> FloatArray:
        """BM25 [N] of the chunks for ``query``; 0 where no word of it occurs."""
        terms = self._terms(query)
        with self._reading() as connection:
            found = lexical.scores(connection, terms, keys)
        return np.array([found.get(int(key), 0.0) for key in keys], np.float32)

    def term_statistics(self, query: str) -> list[TermStatistics]:
        """How rare each distinct word of ``query`` is here, stop words left out."""
        return list(self._terms(query))

    def chunks(self, keys: Sequence[int]) -> list[Chunk]:
        """Read the chunks with these keys, in their order.

        :raises SearchError: a key is not of this store.
        :raises StoreCorruptError: a row does not match its checksum.
        """
        marks = json.dumps([int(key) for key in keys])
        query = f"{SELECT_CHUNKS} WHERE c.key IN (SELECT value FROM json_each(?))"
        with self._reading() as connection:
            found = {row[0]: chunk_from_row(row) for row in connection.execute(query, (marks,))}
        missing = [key for key in keys if int(key) not in found]
        if missing:
            raise SearchError(f"no chunk {missing[0]} in {self._layout.root}")
        return [found[int(key)] for key in keys]

    def document_text(self, document_id: str) -> str:
        """Read the whole text of a document.

        :raises SearchError: this generation has no such document.
        :raises StoreCorruptError: the text does not match its checksum.
        """
        query = f"""SELECT d.text, d.text_hash FROM documents d
            WHERE d.id = ? AND {LIVE.format("d")}"""
        values = (document_id, self.generation, self.generation)
        with self._reading() as connection:
            row = connection.execute(query, values).fetchone()
            if row is None:
                raise SearchError(f"no document {document_id!r} in {self._layout.root}")
            if text_digest(row[0]) != row[1]:
                raise StoreCorruptError(f"document {document_id!r} is damaged")
        return str(row[0])

    def sample_chunks(self, n: int, seed: int = 0) -> list[tuple[int, Chunk]]:
        """Up to ``n`` different chunks with their keys, the same for the same seed."""
        live = self._generation.live
        chosen = np.random.default_rng(seed).permutation(len(live))[:n]
        keys = [int(live[i]) for i in chosen]
        return list(zip(keys, self.chunks(keys), strict=True))

    def coarse_similarity(self, query: FloatArray) -> float:
        """Best cosine of ``query`` [D] with the coarse centroids; -1 for an empty store."""
        centroids = self._generation.centroids
        vector = self._unit(query)
        return -1.0 if centroids is None else float((centroids @ vector).max())

    def scan_cost(self, filter: Filter | None = None) -> int:
        """Vectors that ``search_dense`` compares with a query."""
        selection = self._selection(filter)
        if selection is not None and len(selection.keys) <= _EXACT_LIMIT:
            return len(selection.keys)
        return sum(segment.scan_cost() for segment in self._generation.segments)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with store_errors(self._layout), self._pool.connection() as connection:
            yield connection

    def _selection(self, wanted: Filter | None) -> _Selection | None:
        if not wanted:
            return None
        plain = {
            name: dict(value) if isinstance(value, Mapping) else value
            for name, value in wanted.items()
        }
        try:
            canonical = json.dumps(plain, sort_keys=True)
        except (TypeError, ValueError) as error:
            raise FilterError(f"a filter holds JSON values only: {error}") from error
        return self._select(canonical)

    def _compute_selection(self, wanted: str) -> _Selection:
        condition = compile_filter(json.loads(wanted), self.manifest.fields)
        # CROSS JOIN: documents first, then their keys from an index, never the rows of chunks
        query = f"""SELECT c.key FROM documents d CROSS JOIN chunks c ON c.document = d.row
            WHERE {LIVE.format("c")} AND {condition.sql}"""
        values = (self.generation, self.generation, *condition.values)
        with self._reading() as connection:
            keys = sorted_keys(connection.execute(query, values))
        return _Selection(keys, _bitmap(keys), json.dumps(keys.tolist()))

    def _compute_terms(self, query: str) -> tuple[TermStatistics, ...]:
        with self._reading() as connection:
            return lexical.term_statistics(connection, query, self.size)

    def _unit(self, query: FloatArray) -> FloatArray:
        vector = np.asarray(query, dtype=np.float32)
        if vector.shape != (self.dimension,):
            raise SearchError(
                f"a query vector has shape ({self.dimension},) here, not {vector.shape}"
            )
        norm = float(np.linalg.norm(vector))
        if not np.isfinite(norm) or norm == 0.0:
            raise SearchError("a query vector must be finite and not zero")
        return vector / np.float32(norm)


def _bitmap(keys: KeyArray) -> Bitmap:
    """Bits over keys, little-endian, for ``faiss.IDSelectorBitmap``."""
    bits = np.zeros(int(keys[-1]) + 1 if len(keys) else 1, np.uint8)
    bits[keys] = 1
    return np.packbits(bits, bitorder="little")


def _best(keys: KeyArray, scores: FloatArray, k: int) -> list[ChunkHit]:
    order = np.lexsort((keys, -scores))[:k]  # equal scores: the older chunk first
    return [ChunkHit(int(keys[i]), float(scores[i])) for i in order]


def _check_k(k: int) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
        raise SearchError(f"k must be a whole number from 1 to {MAX_K:,}, not {k!r:.20}")
