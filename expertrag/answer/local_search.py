"""Search a store once, without a server or a language model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from expertrag.answer.canonical import canonical
from expertrag.answer.rerank import open_served_reranker
from expertrag.answer.search import retrieve_passages
from expertrag.api.rerank import RerankMode
from expertrag.api.types import RetrieveRequest
from expertrag.config import CANONICAL, Config
from expertrag.runtime.error_mapping import translate_errors
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_retriever.rerank.reranking import Reranked
from expertrag_retriever.search import Searcher


def search_locally(store: Path, request: RetrieveRequest, config: Config) -> tuple[Reranked, str]:
    """Search, and rerank as configured; the query is read as the server reads it.

    :return: at most ``request.k`` passages, and why the store is degraded, if so.
    :raises ExpertRAGError: if the store or a model cannot be used; the message has the fix.
    """
    if config.lab.wording == CANONICAL:
        request = replace(request, query=canonical(request.query))
    embedder = open_embedder(config.model, store)
    off = request.rerank is RerankMode.OFF
    served = None if off else open_served_reranker(config.model, config.rerank)
    with (
        translate_errors(),
        Index.open(store, embedder_fingerprint=embedder.fingerprint) as index,
    ):
        searcher = Searcher(index, embedder)
        return retrieve_passages(index, searcher, request, served), index.degradation
