"""Search one store once, without a server or a language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from expertrag.answer.embedders import open_embedder
from expertrag.answer.rerank import active_on, open_served_reranker, searched
from expertrag.api.types import RerankMode, RetrieveRequest
from expertrag.config import Config
from expertrag.runtime.error_mapping import translated_errors
from expertrag.runtime.tracing import stage_span
from expertrag_index.index import Index
from expertrag_retriever.rerank.reranking import Reranked
from expertrag_retriever.search import Searcher
from expertrag_retriever.types import SearchResult


def search_store(store: Path, request: RetrieveRequest, config: Config) -> tuple[Reranked, str]:
    """Search, and rerank as configured.

    :return: what was found, at most ``request.k`` passages, and why the store is degraded, if so.
    :raises ExpertRAGError: if the store or a model cannot be used; the message has the fix.
    """
    embedder = open_embedder(config.model, store)
    off = request.rerank is RerankMode.OFF
    served = None if off else open_served_reranker(config.model, config.rerank)
    with (
        translated_errors(),
        Index.open(store, embedder_fingerprint=embedder.fingerprint) as index,
    ):
        searcher = Searcher(index, embedder)

        def search(k: int) -> SearchResult:
            return searcher.search(
                request.query, k=k, mode=request.mode, filter=request.filter or None
            )

        active = active_on(index.manifest.calibration, served, request.rerank)
        done = searched(search, request.query, request.k, active, stage_span, lambda: None)
        best = replace(done.found, passages=done.found.passages[: request.k])
        return replace(done, found=best), index.degraded
