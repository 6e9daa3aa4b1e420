"""Hybrid search on a real store with the real embedder."""

from __future__ import annotations

import pytest

from expertrag_index import Index
from expertrag_index.errors import SearchError
from expertrag_retriever import Searcher
from expertrag_retriever.errors import QueryError
from expertrag_retriever.types import SearchMode

QUESTION = "Why is Python slower than C at adding numbers in a loop?"


def _hit_rate(searcher: Searcher, queries: list[tuple[str, set[str]]], mode: SearchMode) -> float:
    hits = [
        any(
            passage.document_id in relevant
            for passage in searcher.search(query, k=3, mode=mode).passages
        )
        for query, relevant in queries
    ]
    return sum(hits) / len(hits)


def test_hybrid_finds_what_either_half_finds(
    searcher: Searcher, judged_queries: list[tuple[str, set[str]]]
) -> None:
    rates = {mode: _hit_rate(searcher, judged_queries, mode) for mode in SearchMode}
    assert rates[SearchMode.HYBRID] >= max(rates.values()) - 0.05
    assert rates[SearchMode.HYBRID] > 0.8


@pytest.mark.parametrize("mode", list(SearchMode))
def test_scores_add_up_and_descend(searcher: Searcher, mode: SearchMode) -> None:
    result = searcher.search(QUESTION, k=20, mode=mode)
    assert len(result.passages) == 20
    scores = [passage.score for passage in result.passages]
    assert scores == sorted(scores, reverse=True)
    for passage in result.passages:
        total = passage.dense_score + result.lexical_weight * passage.lexical_score
        assert passage.score == pytest.approx(total, abs=1e-5)
        assert 0.0 <= passage.lexical_score <= 1.0


def test_both_scores_are_exact_for_every_candidate(searcher: Searcher) -> None:
    result = searcher.search(QUESTION, k=200)
    dense = searcher.search(QUESTION, k=1000, mode=SearchMode.DENSE)
    lexical = searcher.search(QUESTION, k=1000, mode=SearchMode.BM25)
    cosines = {(p.document_id, p.ordinal): p.dense_score for p in dense.passages}
    bm25 = {(p.document_id, p.ordinal): p.lexical_score for p in lexical.passages}
    for passage in result.passages:
        name = (passage.document_id, passage.ordinal)
        assert passage.dense_score == pytest.approx(cosines[name], abs=1e-3)
        assert passage.lexical_score == pytest.approx(bm25.get(name, 0.0), abs=1e-5)


def test_passages_carry_their_provenance(searcher: Searcher, beir_index: Index) -> None:
    result = searcher.search(QUESTION, k=5)
    assert result.generation == beir_index.generation
    assert result.vectors_scanned == beir_index.size
    for passage in result.passages:
        text = beir_index.document_text(passage.document_id)
        assert passage.text == text[passage.start : passage.end]
        assert passage.source == "beir_small"
        assert passage.metadata["part"]


def test_bm25_needs_no_embedder_and_scans_no_vectors(searcher: Searcher) -> None:
    result = searcher.search("garbage collection", k=3, mode=SearchMode.BM25)
    assert result.vectors_scanned == 0
    assert result.passages[0].lexical_score == 1.0
    assert result.passages[0].dense_score == 0.0


def test_filters_reach_both_halves(searcher: Searcher) -> None:
    for mode in SearchMode:
        result = searcher.search(QUESTION, k=10, mode=mode, filter={"part": "faq"})
        assert result.passages
        assert {passage.metadata["part"] for passage in result.passages} == {"faq"}


def test_unknown_words_leave_only_the_dense_half(searcher: Searcher) -> None:
    result = searcher.search("qwxzzy vbnkjh", k=5)
    assert len(result.passages) == 5
    assert all(passage.lexical_score == 0.0 for passage in result.passages)
    assert all(passage.score == passage.dense_score for passage in result.passages)
    assert not searcher.search("qwxzzy vbnkjh", k=5, mode=SearchMode.BM25).passages


@pytest.mark.parametrize("query", ["", "  \n\t "])
def test_rejects_a_blank_query(searcher: Searcher, query: str) -> None:
    with pytest.raises(QueryError, match="empty"):
        searcher.search(query, k=5)


@pytest.mark.parametrize("k", [0, -1, 10**6])
@pytest.mark.parametrize("mode", list(SearchMode))
def test_rejects_k_out_of_range(searcher: Searcher, k: int, mode: SearchMode) -> None:
    with pytest.raises(SearchError, match="k must be"):
        searcher.search(QUESTION, k=k, mode=mode)


def test_query_syntax_is_treated_as_plain_words(searcher: Searcher) -> None:
    for query in ['"unbalanced', "NEAR(a b) OR *", "\U0001f600", "x" * 1_000_000, "\x00\x01 loop"]:
        assert len(searcher.search(query, k=3).passages) == 3
