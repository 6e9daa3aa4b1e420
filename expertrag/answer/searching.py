"""Search a store: for an answer, for passages alone, or once, without a language model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.answer.canonical import canonical
from expertrag.answer.rerank import (
    ServedReranker,
    active_on,
    open_served_reranker,
    search_candidates,
)
from expertrag.answer.retrieve import SPARE
from expertrag.api import validation
from expertrag.api.rerank import RerankMode
from expertrag.api.types import RetrieveRequest
from expertrag.config import CANONICAL, Config
from expertrag.llm.base import ShouldStop, never_stop
from expertrag.runtime.error_mapping import translate_errors
from expertrag.runtime.tracing import stage_span
from expertrag.stores.embedders import open_embedder
from expertrag_index.store.index import Index
from expertrag_retriever.rerank.reranking import Reranked
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.types import AnswerRequest
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.types import SearchResult


def search_store(store: Path, request: RetrieveRequest, config: Config) -> tuple[Reranked, str]:
    """Search, and rerank as configured; the query is read as the server reads it.

    :return: what was found, at most ``request.k`` passages, and why the store is degraded, if so.
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
        return retrieve_passages(
            index, Searcher(index, embedder), request, served
        ), index.degradation


def retrieve_passages(
    index: Index,
    searcher: Searcher,
    request: RetrieveRequest,
    served: ServedReranker | None,
    should_stop: ShouldStop = never_stop,
    *,
    query_vector: QueryVectors | None = None,
) -> Reranked:
    """Search for a request's query, and rerank what is found; at most ``request.k`` passages.

    :param query_vector: the query's, if known; see :meth:`Searcher.search`.
    :raises Conflict: if the request asks for a reranker, and there is none.
    """
    find = partial(
        searcher.search,
        request.query,
        mode=request.mode,
        filter=request.filter or None,
        query_vector=query_vector,
    )
    active = active_on(index.manifest.calibration, served, request.rerank)
    done = search_candidates(
        lambda k: find(k=k), request.query, request.k, active, stage_span, should_stop
    )
    best = replace(done.result, passages=done.result.passages[: request.k])
    return replace(done, result=best)


def count_wanted_passages(request: AnswerRequest) -> int:
    """Return how many passages to search for, of which near-duplicates are dropped."""
    return min(SPARE * request.k, validation.MAX_K)


def search_once(context: AnswerContext, query: str, k: int) -> SearchResult:
    """Search for a query, once: a search that the gate has run serves the answer as well."""
    if (query, k) not in context.searches:
        result = context.view.searcher.search(
            query,
            k=k,
            filter=context.request.filter or None,
            query_vector=context.vectors if query == context.request.question else None,
        )
        context.meter.add(retrieval_calls=1, vectors_scanned=result.vectors_scanned)
        context.searches[query, k] = result
    return context.searches[query, k]
