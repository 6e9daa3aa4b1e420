"""Candidates in their new order, and the time that decides whether there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from expertrag_index.types import FloatArray
from expertrag_retriever import Searcher
from expertrag_retriever.rerank.cross_encoder import CrossEncoderReranker
from expertrag_retriever.rerank.loading import load_reranker
from expertrag_retriever.rerank.reranking import Reranking, embedding_text_of
from expertrag_retriever.types import Passage, SearchResult

QUERY = "How do I read a file line by line?"


class LengthPairs:
    """A network that prefers long texts."""

    device, max_tokens = "cpu", 64

    def count_tokens(self, query: str, texts: Sequence[str]) -> list[int]:
        return [len(query.split()) + len(text.split()) for text in texts]

    def scores(self, query: str, texts: Sequence[str]) -> FloatArray:
        return np.array([len(text) for text in texts], np.float32)


def reranking(weight: float = 0.0, **settings: float) -> Reranking:
    reranker = CrossEncoderReranker("length", "1", LengthPairs(), weight)
    return Reranking(reranker, **settings)  # type: ignore[arg-type]


def found(*texts: str) -> SearchResult:
    passages = tuple(
        Passage(str(number), 0, text, 0, len(text), score=-1000.0 * number)
        for number, text in enumerate(texts)
    )
    return SearchResult(passages, vectors_scanned=3, generation=1, lexical_weight=1.0)


def order(result: SearchResult) -> list[str]:
    return [passage.document_id for passage in result.passages]


def test_candidates_are_ranked_by_the_reranker() -> None:
    done = reranking(candidates=3).apply("q", found("a", "aaa", "aa", "aaaaaa"))
    assert order(done.result) == ["1", "2", "0", "3"]
    assert [item.rerank_score for item in done.result.passages] == [3.0, 2.0, 1.0, None]
    assert (done.candidates, done.skipped) == (3, "")
    assert [item.score for item in done.result.passages] == [-1000.0, -2000.0, 0.0, -3000.0]


def test_the_standardised_scores_of_the_search_may_count() -> None:
    result = found("a", "aaa", "aa")
    done = reranking(weight=4.0).apply("q", result)
    assert order(done.result) == ["0", "1", "2"]
    searched = np.array([passage.score for passage in result.passages])
    standard = (searched - searched.mean()) / searched.std()
    wanted = np.array([1.0, 3.0, 2.0]) + 4 * standard
    assert [item.rerank_score for item in done.result.passages] == pytest.approx(wanted)


def test_equal_scores_keep_the_order_of_the_search() -> None:
    assert order(reranking().apply("q", found("ab", "cd", "ef")).result) == ["0", "1", "2"]


def test_titles_are_read() -> None:
    passage = Passage("1", 0, "text", 0, 4, score=0.0, title="Title")
    assert embedding_text_of(passage) == "Title\ntext"


def test_nothing_found_is_not_reranked() -> None:
    assert reranking().apply("q", found()).candidates == 0


@pytest.mark.parametrize("left_s", [0.0, -1.0])
def test_without_time_the_order_is_that_of_the_search(left_s: float) -> None:
    done = reranking().apply("q", found("a", "aaa"), left_s)
    assert order(done.result) == ["0", "1"]
    assert done.candidates == 0
    assert done.skipped.startswith("it would take ")
    assert done.result.passages[0].rerank_score is None


def test_the_deadline_skips_too() -> None:
    done = reranking(deadline_s=0.0).apply("q", found("a", "aaa"))
    assert done.skipped and order(done.result) == ["0", "1"]


def test_depth_is_the_larger_number() -> None:
    assert (reranking(candidates=20).depth(5), reranking(candidates=20).depth(50)) == (20, 50)


def test_a_real_search_is_reranked(searcher: Searcher, cross_encoder_folder: Path) -> None:
    reranker = load_reranker(str(cross_encoder_folder), device="cpu")
    result = searcher.search(QUERY, k=20)
    done = Reranking(reranker, deadline_s=60.0).apply(QUERY, result)
    assert done.candidates == 20
    scores = [passage.rerank_score or 0.0 for passage in done.result.passages]
    assert scores == sorted(scores, reverse=True)
    assert {item.document_id for item in done.result.passages} == {
        item.document_id for item in result.passages
    }
    texts = [embedding_text_of(passage) for passage in done.result.passages]
    assert scores == pytest.approx(reranker.score(QUERY, texts).tolist(), abs=0.01)
