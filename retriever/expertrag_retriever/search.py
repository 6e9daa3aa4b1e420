"""Search, provisional: the retrieval engineer replaces this file."""

from __future__ import annotations

from typing import Any

import numpy as np

from expertrag_retriever.types import Passage, SearchMode, SearchResult


class Searcher:
    """Dense and BM25 with a fixed weight."""

    def __init__(self, index: Any, embedder: Any) -> None:
        self._index, self._embedder = index, embedder

    def search(
        self,
        query: str,
        *,
        k: int,
        mode: SearchMode = SearchMode.HYBRID,
        filter: Any = None,
        domain: str | None = None,
        query_vector: Any = None,
    ) -> SearchResult:
        """Return the best passages."""
        vector = (
            self._embedder.encode_query(query, domain) if query_vector is None else query_vector
        )
        n = min(1000, max(k, 50))
        keys = {hit.key for hit in self._index.search_dense(vector, n, filter)}
        keys |= {hit.key for hit in self._index.search_lexical(query, n, filter)}
        ordered = sorted(keys)
        dense = self._index.dense_scores(vector, ordered)
        lexical = self._index.lexical_scores(query, ordered)
        lexical = lexical / max(float(lexical.max(initial=0.0)), 1e-9)
        score = {"hybrid": dense + 0.2 * lexical, "dense": dense, "bm25": lexical}[mode]
        best = np.argsort(-score, kind="stable")[:k]
        chunks = self._index.chunks([ordered[i] for i in best])
        passages = tuple(
            Passage(
                document_id=c.document_id,
                ordinal=c.ordinal,
                text=c.text,
                start=c.start,
                end=c.end,
                score=float(score[i]),
                dense_score=float(dense[i]),
                lexical_score=float(lexical[i]),
                title=c.title,
                domain=c.domain,
                source=c.source,
                metadata=c.metadata,
            )
            for i, c in zip(best, chunks, strict=True)
        )
        return SearchResult(passages, self._index.scan_cost(filter), self._index.generation, 0.2)
