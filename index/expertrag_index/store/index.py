"""Searches one generation of a store: dense, lexical and filtered search, and statistics."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from expertrag_index.errors import (
    EmbedderMismatchError,
    SearchError,
)
from expertrag_index.postings.search import PostingSearcher
from expertrag_index.search.caching import cache_method
from expertrag_index.search.filters import canonical, compile_filter
from expertrag_index.search.scales import IDENTITY, Scale, read_scales
from expertrag_index.search.selection import Selection, best_hits, bitmap
from expertrag_index.search.vector_store import Among
from expertrag_index.store.disk_errors import store_errors
from expertrag_index.store.generation_reader import GenerationReader
from expertrag_index.store.labels import restrict
from expertrag_index.store.layout import Layout
from expertrag_index.store.live import select_keys
from expertrag_index.store.opening import NONE_OPEN, Generation, OpenParts, open_published
from expertrag_index.store.schema import LIVE, Seal
from expertrag_index.tables.database import MOST_CHUNKS, TableDatabase
from expertrag_index.tables.extract import TextDocument
from expertrag_index.types import (
    ChunkHit,
    Filter,
    FloatArray,
    KeyArray,
    Query,
    TermStatistics,
)
from expertrag_index.words import spelling

MAX_K = 1000

_EXACT_LIMIT = 256  # up to so many admissible chunks are scored by row, without FAISS


class Index(GenerationReader):
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
        super().__init__(layout, generation, labels)
        calibrated = read_scales(generation.manifest.calibration)
        self._scales = calibrated if scales is None else scales
        held = sum(entry.count for entry in generation.manifest.segments)
        self._live_bitmap = bitmap(generation.live) if held > len(generation.live) else None
        self._lexical = lexical or PostingSearcher(generation.postings, generation.live)
        # a generation never changes, so these caches cannot become stale
        self._select = cache_method(self._compute_selection, 32)
        self._terms = cache_method(self._lexical.statistics, 64)
        self._respell = cache_method(self._compute_respelled, 64)
        self._tables = cache_method(self._compute_tables, 4)

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
        self._tables.cache_clear()

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

        Every result is as from a store that holds only the documents without labels and the ones
        with one of ``labels``. That holds for hits, BM25 scores, term statistics, corrected words,
        counts, and the fields and domains of the manifest. The calibration of the manifest and the
        lists of an IVF segment belong to the whole store.
        """
        if not self.manifest.has_labels:
            return self
        with store_errors(self._layout):
            part = restrict(self._generation, labels)
            return Index(self._layout, part, self._scales, labels=labels)

    def partitions(self, filter: Filter | None = None) -> dict[str, int]:
        """Count the live chunks that ``filter`` admits, by expert; empty partitions are left out.

        :raises FilterError: unknown field or operator.
        """
        return {expert: len(keys) for expert, keys in self._select_partitions(filter).items()}

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

    def tables(self, filter: Filter | None = None) -> TableDatabase:
        """Return the tables of the documents that ``filter`` admits.

        :raises FilterError: unknown field or operator.
        """
        return self._tables(canonical(filter or {}))

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

    def _scale(self, expert: str) -> Scale:
        return self._scales.get(expert, IDENTITY)

    def _check_k(self, k: int) -> None:
        self._pool.check_open()
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= MAX_K:
            raise SearchError(f"k must be a whole number from 1 to {MAX_K:,}, not {k!r:.20}")

    def _compute_tables(self, wanted: str) -> TableDatabase:
        filter = json.loads(wanted) or None
        if self.size > MOST_CHUNKS:
            return TableDatabase(())
        return TableDatabase.of(
            [
                TextDocument(document.id, document.title, document.source, document.metadata, text)
                for document, text in self.catalog.texts(filter)
            ]
        )

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
