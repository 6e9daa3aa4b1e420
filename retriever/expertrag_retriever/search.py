"""Hybrid search: dense and BM25 each propose chunks; both score every proposal; the sum ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expertrag_retriever.errors import QueryError
from expertrag_retriever.fusion import Fusion
from expertrag_retriever.partitions import QueryEncoder
from expertrag_retriever.types import Passage, SearchMode, SearchResult

if TYPE_CHECKING:
    from expertrag_index.store.index import Index
    from expertrag_index.types import Chunk, ChunkHit, Filter, FloatArray
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.partitions import QueryVectors

_CANDIDATES = 100
"""Least number of proposals per half; the ten best of the sum are in the first 100 of a half."""


@dataclass(frozen=True, slots=True)
class _Scores:
    """Candidate chunks by key, their cosines [N] and BM25 [N], and the weight of BM25/best."""

    keys: Sequence[int]
    dense: FloatArray
    lexical: FloatArray
    weight: float

    def best(self, k: int) -> list[tuple[int, float, float, float]]:
        """Key, fused score, cosine and BM25/best of the k best; equal scores by key."""
        fused = self.dense + self.weight * self.lexical  # [N]
        order = np.lexsort((np.asarray(self.keys), -fused))[:k]
        return [
            (self.keys[i], float(fused[i]), float(self.dense[i]), float(self.lexical[i]))
            for i in order
        ]


class Searcher:
    """Searches one generation of a store. Thread-safe."""

    def __init__(self, index: Index, embedder: Embedder, fusion: Fusion | None = None) -> None:
        """Search an index.

        :param fusion: weight of BM25, for a generation that is being calibrated; None for its own.
        """
        self._index = index
        self._encoder = QueryEncoder(index, embedder)
        self._fusion = fusion or Fusion.of(index.manifest.calibration)

    def encode(
        self, query: str, filter: Filter | None = None, vector: FloatArray | None = None
    ) -> QueryVectors:
        """Encode a query for ``search`` and for the gate; for the arguments see ``QueryEncoder``.

        Misspelled words are corrected first; ``vector`` is of the query as written.
        """
        return self._encoder.encode(self._index.respell(query), filter, vector)

    def search(
        self,
        query: str,
        *,
        k: int,
        mode: SearchMode = SearchMode.HYBRID,
        filter: Filter | None = None,
        query_vector: QueryVectors | None = None,
    ) -> SearchResult:
        """Find the ``k`` best chunks for a query, after correcting misspelled words.

        In every mode ``score == dense_score + lexical_weight * lexical_score``; a half that is
        not searched counts as 0 (``lexical_weight`` is 1 in BM25 mode).

        :param query_vector: the result of ``encode`` for this query with the same filter.
        :raises QueryError: the query is blank.
        :raises SearchError: ``k`` is out of range.
        :raises FilterError: unknown field or operator.
        """
        if not query.strip():
            raise QueryError("the query is empty: enter some text")
        query = self._index.respell(query)
        scanned = 0
        if mode is SearchMode.BM25:
            scores = self._lexical(query, k, filter)
        else:
            vectors = query_vector or self._encoder.encode(query, filter, base=False)
            if mode is SearchMode.DENSE:
                scores = self._dense(vectors, k, filter)
            else:
                scores = self._hybrid(query, vectors, k, filter)
            scanned = self._index.scan_cost(filter)
        best = scores.best(k)
        chunks = self._index.chunks([key for key, *_ in best])
        return SearchResult(
            passages=tuple(
                to_passage(chunk, *rest) for chunk, (_, *rest) in zip(chunks, best, strict=True)
            ),
            vectors_scanned=scanned,
            generation=self._index.generation,
            lexical_weight=scores.weight,
        )

    def _dense(self, vectors: QueryVectors, k: int, filter: Filter | None) -> _Scores:
        hits = self._index.search_dense(vectors, k, filter)
        cosines = np.array([hit.score for hit in hits], np.float32)
        return _Scores(_keys(hits), cosines, np.zeros_like(cosines), 0.0)

    def _lexical(self, query: str, k: int, filter: Filter | None) -> _Scores:
        hits = self._index.search_lexical(query, k, filter)
        bm25 = np.array([hit.score for hit in hits], np.float32)
        top = _top(hits)
        return _Scores(_keys(hits), np.zeros_like(bm25), bm25 / top if top else bm25, 1.0)

    def _hybrid(self, query: str, vectors: QueryVectors, k: int, filter: Filter | None) -> _Scores:
        depth = max(k, _CANDIDATES) if k > 0 else k  # the store rejects k below 1
        lexical_hits = self._index.search_lexical(query, depth, filter)
        dense_hits = self._index.search_dense(vectors, depth, filter)
        top = _top(lexical_hits)
        weight = self._fusion.query_weight(query, _values(lexical_hits), _values(dense_hits))
        cosine = {hit.key: hit.score for hit in dense_hits}
        bm25 = {hit.key: hit.score for hit in lexical_hits}
        cosine_missing = [key for key in bm25 if key not in cosine]
        bm25_missing = [key for key in cosine if key not in bm25] if top else []
        exact = self._index.dense_scores(vectors, cosine_missing).tolist()
        cosine.update(zip(cosine_missing, exact, strict=True))
        exact = self._index.lexical_scores(query, bm25_missing).tolist() if bm25_missing else []
        bm25.update(zip(bm25_missing, exact, strict=True))
        keys = sorted(cosine)
        lexical = np.array([bm25.get(key, 0.0) for key in keys], np.float32)
        return _Scores(
            keys,
            np.array([cosine[key] for key in keys], np.float32),
            lexical / top if top else lexical,
            weight * top,
        )


def _keys(hits: Sequence[ChunkHit]) -> list[int]:
    return [hit.key for hit in hits]


def _values(hits: Sequence[ChunkHit]) -> list[float]:
    return [hit.score for hit in hits]


def _top(hits: Sequence[ChunkHit]) -> float:
    """Best score; 0 without a hit or if every query word occurs in almost every chunk."""
    return max(0.0, hits[0].score) if hits else 0.0


def to_passage(
    chunk: Chunk, score: float = 1.0, dense: float = 0.0, lexical: float = 0.0
) -> Passage:
    """Return a chunk as a passage with its scores."""
    return Passage(
        document_id=chunk.document_id,
        ordinal=chunk.ordinal,
        text=chunk.text,
        start=chunk.start,
        end=chunk.end,
        score=score,
        dense_score=dense,
        lexical_score=lexical,
        title=chunk.title,
        domain=chunk.domain,
        source=chunk.source,
        metadata=chunk.metadata,
        page=chunk.page,
        page_starts=chunk.page_starts,
    )
