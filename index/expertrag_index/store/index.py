"""Reads one generation of a store: dense, lexical and filtered search, texts, statistics."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from expertrag_index.errors import (
    EmbedderMismatchError,
    SearchError,
    StoreCorruptError,
)
from expertrag_index.postings.search import PostingSearcher
from expertrag_index.search.caching import cache_method
from expertrag_index.search.filters import canonical, compile_filter
from expertrag_index.search.scales import IDENTITY, Scale, read_scales
from expertrag_index.search.selection import Selection, best_hits, bitmap, rows_by_partition
from expertrag_index.search.vector_store import Among
from expertrag_index.store.catalog import Catalog
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.groups import read_groups
from expertrag_index.store.labels import all_labels, restrict
from expertrag_index.store.layout import Layout
from expertrag_index.store.live import select_keys
from expertrag_index.store.manifest import Manifest
from expertrag_index.store.opening import NONE_OPEN, Generation, OpenParts, open_published
from expertrag_index.store.rows import SELECT_CHUNKS, chunk_from_row, text_digest
from expertrag_index.store.schema import LIVE, Seal, read_seal
from expertrag_index.types import (
    Chunk,
    ChunkHit,
    Filter,
    FloatArray,
    Group,
    KeyArray,
    Query,
    TermStatistics,
)
from expertrag_index.words import spelling

T = TypeVar("T")

MAX_K = 1000

_EXACT_LIMIT = 256  # up to so many admissible chunks are scored by row, without FAISS


class Index:
    """One published generation, unaffected by later writes. Thread-safe.

    Every chunk belongs to the partition of the expert that encoded it. Each partition is searched
    with that expert's vector of the query, and scores are on one scale (see ``scales``).
    """

    def __init__(
        self,
        layout: Layout,
        generation: Generation,
        scales: Mapping[str, Scale] | None = None,
        *,
        labels: Collection[str] | None = None,
        lexical: PostingSearcher | None = None,
    ) -> None:
        self._layout = layout
        self._generation = generation
        self._seen_labels = None if labels is None else frozenset(labels)
        self._restricted = labels is not None
        self._pool = generation.pool
        calibrated = read_scales(generation.manifest.calibration)
        self._scales = calibrated if scales is None else scales
        held = sum(entry.count for entry in generation.manifest.segments)
        self._live_bitmap = bitmap(generation.live) if held > len(generation.live) else None
        self._lexical = lexical or PostingSearcher(generation.postings, generation.live)
        # a generation never changes, so these caches cannot become stale
        self._lock = threading.Lock()
        self._labels: frozenset[str] | None = None
        self._select = cache_method(self._compute_selection, 32)
        self._terms = cache_method(self._lexical.statistics, 64)
        self._respell = cache_method(self._compute_respelled, 64)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        embedder_fingerprint: str | None = None,
        known: Seal | None = None,
        reuse: OpenParts = NONE_OPEN,
    ) -> Index:
        """Open the published generation of the store at ``path``.

        :param known: ``seal`` of an index or a writer of this store in this process: if nothing
            has been written since, the database is not compared with its checksum again.
        :param reuse: ``open_parts`` of an earlier generation, so that they are not read again.
        :raises StoreNotFoundError: there is no store.
        :raises StoreCorruptError: this generation and the one before are damaged.
        :raises StoreFormatError: written by a newer or an older version.
        :raises EmbedderMismatchError: built with another embedder than ``embedder_fingerprint``.
        """
        layout = Layout(Path(path))
        with store_errors(layout):
            generation = open_published(layout, known, reuse)
            embedder = generation.manifest.embedder
            if embedder_fingerprint not in (None, embedder.fingerprint):
                generation.pool.close()
                raise EmbedderMismatchError(
                    f"{path} was built with embedder {embedder.name} "
                    f"({embedder.fingerprint:.12}), not {embedder_fingerprint:.12}: use that "
                    f"embedder, or run 'expertrag index migrate {path} --embedder NEW'"
                )
            return cls(layout, generation)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for running searches, then release the snapshot, so that its space can be reused."""
        self._pool.close()
        self._select.cache_clear()
        self._terms.cache_clear()
        self._respell.cache_clear()

    @property
    def manifest(self) -> Manifest:
        """The manifest of the generation."""
        return self._generation.manifest

    @property
    def generation(self) -> int:
        """Number of this generation."""
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
    def open_parts(self) -> OpenParts:
        """The vector files of the generation in memory; they stay valid when it is closed."""
        return self._generation.share_parts()

    @property
    def catalog(self) -> Catalog:
        """The documents of the generation; not kept: it would hold this index in a cycle."""
        return Catalog(
            self._layout,
            self._reading,
            self.manifest,
            self._generation.documents,
            self._seen_labels,
        )

    @property
    def newest_key(self) -> int:
        """Key of the chunk that was added last, 0 for none; later ones get higher keys."""
        return int(self._generation.live[-1]) if self.size else 0

    def newer_than(self, key: int) -> int:
        """Count the live chunks with a higher key."""
        return self.size - int(np.searchsorted(self._generation.live, key, side="right"))

    @property
    def size_bytes(self) -> int:
        """Bytes on disk: the database and the vector files of this generation.

        0 for a restricted index: they tell of documents that it does not hold.

        :raises StoreCorruptError: the database was deleted.
        """
        if self._restricted:
            return 0
        derived = sum(file.bytes for file in self.manifest.files)
        database = self._layout.database
        try:
            return database.stat().st_size + derived
        except FileNotFoundError:
            raise StoreCorruptError(f"{database} is missing: {self._layout.cure}") from None

    @property
    def degradation(self) -> str:
        """Why an older generation is in use and what to do; empty if this is the newest."""
        return self._generation.degradation

    @property
    def seal(self) -> Seal:
        """Which state of the database this is; compared when it was opened."""
        with self._reading() as connection:
            return read_seal(connection)

    def rescale(self, scales: Mapping[str, Scale]) -> Index:
        """Return the same generation with other scales; it is closed with this index."""
        return Index(
            self._layout,
            self._generation,
            scales,
            labels=self._seen_labels,
            lexical=self._lexical,
        )

    def restrict(self, labels: Collection[str]) -> Index:
        """Return what a reader with these access labels sees; it is closed with this index.

        Every result is that of a store which holds only the documents without labels and those
        with one of ``labels``: hits, BM25 scores, term statistics, corrected words, counts, and
        the fields and domains of the manifest. The calibration of the manifest and the lists of an
        IVF segment are those of the whole store.
        """
        if not self.manifest.has_labels:
            return self
        with store_errors(self._layout):
            part = restrict(self._generation, labels)
            return Index(self._layout, part, self._scales, labels=labels)

    def labels(self) -> frozenset[str]:
        """Return the access labels that documents of this generation have."""
        if not self.manifest.has_labels:
            return frozenset()
        with self._lock:
            if self._labels is None:
                with self._reading() as connection:
                    self._generation.documents.ensure(connection, self.generation)
                    self._labels = all_labels(connection, self.generation)
            return self._labels

    def partitions(self, filter: Filter | None = None) -> dict[str, int]:
        """Count the live chunks that ``filter`` admits, by expert; empty partitions are left out.

        :raises FilterError: unknown field or operator.
        """
        return {expert: len(keys) for expert, keys in self._select_partitions(filter).items()}

    def groups(self) -> list[Group]:
        """Read which expert serves each group of documents; empty for a plain embedder."""
        with self._reading() as connection:
            return list(read_groups(connection, self.generation).values())

    def search_dense(self, query: Query, k: int, filter: Filter | None = None) -> list[ChunkHit]:
        """Find the ``k`` chunks with the highest cosine, on the common scale, best first.

        :param query: its vector [D], or its vectors by expert, for the partitions to search.
        :raises SearchError: ``k`` or ``query`` cannot be searched.
        :raises FilterError: unknown field or operator.
        """
        vectors = self._vectors(query)
        self._check_k(k)
        selection = self._selection(filter)
        searched = {
            expert: keys
            for expert, keys in self._select_partitions(filter).items()
            if expert in vectors
        }
        if not searched:
            return []
        if selection is not None and len(selection.keys) <= _EXACT_LIMIT:
            few = np.concatenate(list(searched.values()))
            return best_hits(few, self.dense_scores(vectors, few.tolist()), k)
        allowed = self._live_bitmap if selection is None else selection.bitmap
        keys: list[KeyArray] = []
        scores: list[FloatArray] = []
        for expert, admitted in searched.items():
            among = Among(admitted, allowed, filter or None, self._seen_labels)
            with store_errors(self._layout):
                hits = self._generation.vectors.search(expert, vectors[expert], k, among)
            keys.append(hits.keys)
            scores.append(self._scale(expert).of(hits.scores))
        return best_hits(np.concatenate(keys), np.concatenate(scores), k)

    def search_lexical(self, query: str, k: int, filter: Filter | None = None) -> list[ChunkHit]:
        """Find the ``k`` chunks with the highest BM25, best first; none if all words are unknown.

        :raises SearchError: ``k`` cannot be searched.
        :raises FilterError: unknown field or operator.
        """
        self._check_k(k)
        selection = self._selection(filter)
        terms = self._terms(query)
        return self._lexical.search(terms, k, selection.rows if selection else None)

    def dense_scores(self, query: Query, keys: Sequence[int]) -> FloatArray:
        """Cosines [N] with the chunks on the common scale, from the stored vectors.

        :raises SearchError: a key is not in this generation, or ``query`` has no vector for its
            partition.
        """
        vectors = self._vectors(query)
        if not len(keys):
            return np.empty(0, np.float32)
        wanted = np.asarray(keys, np.int64)
        scores = np.empty(len(wanted), np.float32)
        for expert, places in self._rows_by_expert(wanted).items():
            if expert not in vectors:
                raise SearchError(f"the query has no vector for the partition {expert!r}")
            with store_errors(self._layout):
                cosines = self._generation.vectors.cosines(expert, wanted[places], vectors[expert])
            scores[places] = self._scale(expert).of(cosines)
        return scores

    def lexical_scores(self, query: str, keys: Sequence[int]) -> FloatArray:
        """BM25 [N] of the chunks for ``query``; 0 where no word of it occurs."""
        scores = self._lexical.scores(self._terms(query), keys)
        return np.array([scores.get(int(key), 0.0) for key in keys], np.float32)

    def term_statistics(self, query: str) -> list[TermStatistics]:
        """Return how rare each distinct word of ``query`` is here, without stop words."""
        return list(self._terms(query))

    def respell(self, query: str) -> str:
        """Return a query with misspelled words corrected to words that occur in chunks."""
        return self._respell(query)

    def chunks(self, keys: Sequence[int]) -> list[Chunk]:
        """Read the chunks with these keys, in their order.

        :raises SearchError: a key is not in this store.
        :raises StoreCorruptError: a row does not match its checksum.
        """
        if self._restricted:
            self._rows_by_expert(np.asarray(keys, np.int64))
        marks = json.dumps([int(key) for key in keys])
        query = f"{SELECT_CHUNKS} WHERE c.key IN (SELECT value FROM json_each(?))"
        with self._reading() as connection:
            chunks = {row[0]: chunk_from_row(row) for row in connection.execute(query, (marks,))}
        missing = [key for key in keys if int(key) not in chunks]
        if missing:
            raise SearchError(f"no chunk {missing[0]} in {self._layout.root}")
        return [chunks[int(key)] for key in keys]

    def document_text(self, document_id: str) -> str:
        """Read the whole text of a document.

        :raises SearchError: this generation has no such document.
        :raises StoreCorruptError: the text does not match its checksum.
        """
        query = f"""SELECT d.text, d.text_hash,
            (SELECT c.key FROM chunks c WHERE c.document = d.row LIMIT 1)
            FROM documents d WHERE d.id = ? AND {LIVE.format("d")}"""
        values = (document_id, self.generation, self.generation)
        with self._reading() as connection:
            row = connection.execute(query, values).fetchone()
            if row is None or row[2] not in self._generation.live:
                raise SearchError(f"no document {document_id!r} in {self._layout.root}")
            if text_digest(row[0]) != row[1]:
                raise StoreCorruptError(f"document {document_id!r} is damaged")
        return str(row[0])

    def sample_chunks(
        self, n: int, seed: int = 0, expert: str | None = None
    ) -> list[tuple[int, Chunk]]:
        """Sample up to ``n`` distinct chunks with their keys; the same seed gives the same ones.

        :param expert: sample only this expert's partition; None samples all of them.
        """
        generation = self._generation
        live = generation.live if expert is None else generation.partitions[expert]
        chosen = np.random.default_rng(seed).permutation(len(live))[:n]
        keys = [int(live[i]) for i in chosen]
        return list(zip(keys, self.chunks(keys), strict=True))

    def best_similarity(
        self, query: Query, filter: Filter | None = None, *, exclude: int | None = None
    ) -> float:
        """Cosine of the nearest chunk, on the common scale; -1 if there is none.

        :param query: as for ``search_dense``.
        :param exclude: key of a chunk to ignore.
        :raises FilterError: unknown field or operator.
        """
        hits = self.search_dense(query, 1 if exclude is None else 2, filter)
        return next((hit.score for hit in hits if hit.key != exclude), -1.0)

    def scan_cost(self, filter: Filter | None = None) -> int:
        """Return how many vectors ``search_dense`` compares in a search of all partitions."""
        selection = self._selection(filter)
        if self._restricted:  # the size of a segment tells of documents that this index lacks
            return sum(map(len, self._select_partitions(filter).values()))
        if selection is not None and len(selection.keys) <= _EXACT_LIMIT:
            return len(selection.keys)
        return sum(map(self._generation.vectors.scan_cost, self._select_partitions(filter)))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with store_errors(self._layout), self._pool.connection() as connection:
            yield connection

    def _selection(self, wanted: Filter | None) -> Selection | None:
        if not wanted:
            return None
        return self._select(canonical(wanted))

    def _compute_selection(self, wanted: str) -> Selection:
        condition = compile_filter(json.loads(wanted), self.manifest.fields)
        # CROSS JOIN: documents first, then their keys from an index, never the rows of chunks
        query = f"""SELECT c.key FROM documents d CROSS JOIN chunks c ON c.document = d.row
            WHERE {LIVE.format("c")} AND {condition.sql}"""
        values = (self.generation, self.generation, *condition.values)
        with self._reading() as connection:
            self._generation.documents.ensure(connection, self.generation)
            keys = select_keys(connection, query, values)
        if self._restricted:
            keys = np.intersect1d(keys, self._generation.live, assume_unique=True)
        return Selection.of(keys, self._generation.partitions, self._lexical)

    def _select_partitions(self, filter: Filter | None) -> Mapping[str, KeyArray]:
        selection = self._selection(filter)
        return self._generation.partitions if selection is None else selection.partitions

    def _rows_by_expert(self, keys: KeyArray) -> dict[str, NDArray[np.intp]]:
        """Rows of ``keys`` by the expert of the chunk.

        :raises SearchError: a key is not in this generation.
        """
        rows = rows_by_partition(keys, self._generation.partitions)
        if sum(map(len, rows.values())) < len(keys):
            strange = np.setdiff1d(keys, self._generation.live)[0]
            raise SearchError(f"no chunk {strange} in {self._layout.root}")
        return rows

    def _scale(self, expert: str) -> Scale:
        return self._scales.get(expert, IDENTITY)

    def _check_k(self, k: int) -> None:
        self._pool.check_open()
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
            raise SearchError(f"k must be a whole number from 1 to {MAX_K:,}, not {k!r:.20}")

    def _compute_respelled(self, query: str) -> str:
        return spelling.respell(query, self._lexical.frequency)

    def _vectors(self, query: Query) -> dict[str, FloatArray]:
        """Normalise a query's vectors, by expert, for the partitions of this generation."""
        experts = self._generation.partitions
        if isinstance(query, Mapping):
            return {expert: self._unit(query[expert]) for expert in experts if expert in query}
        vector = self._unit(query)
        return dict.fromkeys(experts, vector)

    def _unit(self, query: FloatArray) -> FloatArray:
        vector = np.asarray(query, dtype=np.float32)
        if vector.shape != (self.dimension,):
            raise SearchError(
                f"a query vector must have shape ({self.dimension},), not {vector.shape}"
            )
        norm = float(np.linalg.norm(vector))
        if not np.isfinite(norm) or norm == 0.0:
            raise SearchError("a query vector must be finite and not zero")
        return vector / np.float32(norm)
