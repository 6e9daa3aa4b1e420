"""Ranking of documents by their best chunk; queries that cannot be searched; names of modes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from eval.conftest import MakeSet

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import SearchMode
from expertrag_index.store.index import Index
from expertrag_index.types import silent
from expertrag_lab.data.datasets import Query, load_dataset
from expertrag_lab.data.types import Skipped
from expertrag_lab.eval.ranking import (
    EmbeddedQuery,
    Ranker,
    Rankings,
    embed_queries,
    join,
    parse_modes,
    search_mode,
)
from expertrag_lab.eval.stores import build_store
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.search import Searcher

MODES = tuple(SearchMode)
CORPUS = {
    "book": "\n\n".join(f"Chapter {n}. The harbour of Genoa, again. " * 15 for n in range(30)),
    "note": "A harbour.",
    "memo": "The harbour master writes a memo about tides.",
    "other": "Nothing of the kind.",
}


@pytest.fixture(scope="module")
def searcher(
    make_set: MakeSet, work: Path, embedder: SentenceTransformerEmbedder
) -> Iterator[Searcher]:
    """A searcher over a store where one document has most of the chunks."""
    folder = make_set(CORPUS, {"q": "?"}, {"q": {"note": 1}})
    store, _ = build_store(load_dataset(folder), embedder, "chunk", work, silent)
    with Index.open(store) as index:
        assert index.size > 20
        yield Searcher(index, embedder)


@pytest.mark.parametrize("mode", MODES)
def test_a_document_with_many_chunks_does_not_hide_others(
    searcher: Searcher, embedder: SentenceTransformerEmbedder, mode: SearchMode
) -> None:
    (asked,) = embed_queries(embedder, [Query("q", "the harbour of Genoa")], silent)
    first = searcher.search(
        asked.query.text,
        k=3,
        mode=mode,
        query_vector=searcher.encode(asked.query.text, vector=asked.vector),
    )
    assert {passage.document_id for passage in first.passages} == {"book"}
    found = Ranker(searcher, 3).rank(asked, mode)
    names = [passage.document_id for passage in found]
    assert names[0] == "book"
    assert len(set(names)) == 3
    assert found[0] == first.passages[0]
    assert [passage.score for passage in found] == sorted(
        (passage.score for passage in found), reverse=True
    )


def test_bm25_returns_only_existing_matches(searcher: Searcher) -> None:
    ranker = Ranker(searcher, 100)
    ranked = [
        passage.document_id for passage in ranker.rank(EmbeddedQuery(Query("q", "tides")), MODES[2])
    ]
    assert ranked == ["memo"]
    assert ranker.rank(EmbeddedQuery(Query("q", "xylophone")), SearchMode.BM25) == []


def test_a_query_that_fails_in_one_mode_is_in_none(
    searcher: Searcher, embedder: SentenceTransformerEmbedder
) -> None:
    good, blank = embed_queries(embedder, [Query("good", "harbour"), Query("blank", " ")], silent)
    no_direction = EmbeddedQuery(Query("zero", "tides"), np.zeros(384, np.float32))  # BM25 could
    steps: list[tuple[str, int, int | None]] = []
    found = Ranker(searcher, 10).rank_all(
        [good, blank, no_direction],
        [mode.value for mode in MODES],
        lambda *step: steps.append(step),
    )
    assert list(found.runs) == list(MODES)
    for run in found.runs.values():
        assert list(run) == ["good"]
        assert set(run["good"]) <= set(CORPUS)
    reasons = {item.id: item.reason for item in found.skipped}
    assert reasons["blank"] == "the query is empty: enter some text"
    assert reasons["zero"] == "a query vector must be finite and not zero"
    assert [step for step in steps if step[1] == 3] == [(mode.value, 3, 3) for mode in MODES]


def test_embeddings_keep_the_order_of_the_queries(embedder: SentenceTransformerEmbedder) -> None:
    queries = [Query(f"q{n}", f"What is {n} times {n}?") for n in range(70)]
    steps: list[int] = []
    asked = embed_queries(embedder, queries, lambda stage, done, total: steps.append(done))
    assert [item.query for item in asked] == queries
    assert steps == [64, 70]
    alone = embedder.encode_query(queries[66].text)
    assert asked[66].vector is not None
    assert float(asked[66].vector @ alone) == pytest.approx(1.0, abs=1e-3)


def test_names_of_modes() -> None:
    assert parse_modes([" bm25", "hybrid", "bm25", "experts"]) == ("bm25", "hybrid", "experts")
    assert search_mode("hybrid") is SearchMode.HYBRID
    assert search_mode("experts") is SearchMode.DENSE
    with pytest.raises(InvalidArgument, match=r"unknown mode 'sparse'; the modes are .*experts"):
        parse_modes(["bm25", "sparse"])
    with pytest.raises(InvalidArgument, match="no mode given"):
        parse_modes([])


def test_a_query_that_fails_in_one_store_is_in_no_mode() -> None:
    one = Rankings({"dense": {"a": ["d"], "b": ["d"]}}, (Skipped("c", "blank"),))
    other = Rankings({"experts": {"a": ["e"], "c": ["e"]}}, (Skipped("b", "no direction"),))
    both = join(one, other)
    assert both.runs == {"dense": {"a": ["d"]}, "experts": {"a": ["e"]}}
    assert {item.id for item in both.skipped} == {"b", "c"}
