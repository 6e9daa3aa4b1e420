from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from postings_helper import (
    Chunks,
    engines,
    example_texts,
    key_array,
    reference_hits,
    reference_scores,
    segment_of,
)

from expertrag_index.postings.engine import PostingEngine
from expertrag_index.postings.search import PostingSearcher
from expertrag_index.types import ChunkHit
from expertrag_index.words.analysis import tokens

WORDS = [f"w{number}" for number in range(12)]


@pytest.fixture(params=engines(), ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> PostingEngine:
    made: PostingEngine = request.param
    return made


def test_known_values(engine: PostingEngine, tmp_path: Path) -> None:
    """Four chunks of 2, 2, 4 and 0 terms; "cat" is in one of them, "dog" in two."""
    chunks = {1: ["cat", "dog"], 2: ["dog", "dog"], 5: ["a", "b", "c", "d"], 6: []}
    searcher = PostingSearcher([segment_of(chunks, tmp_path)], None, engine)
    cat, dog, bird = (
        searcher.statistics("Dogs, the cat and a bird!")[1],
        *searcher.statistics("dogs birds"),
    )
    assert (cat.term, cat.document_frequency, cat.idf) == ("cat", 1, math.log(1 + 3.5 / 1.5))
    assert (dog.term, dog.document_frequency, dog.idf) == ("dogs", 2, math.log(2))
    assert (bird.term, bird.document_frequency, bird.idf) == ("birds", 0, math.log(10))
    # length 2 is the mean: the norm is 1.2; half of the chunks have "dog": the least weight
    one, two = 2.2 * 1 / 2.2, 2.2 * 2 / 3.2
    expected = {1: math.log(3.5 / 1.5) * one + 1e-6 * one, 2: 1e-6 * two}
    assert searcher.scores([cat, dog, bird], [1, 2, 5, 6, 99]) == pytest.approx(expected, rel=1e-12)
    hits = searcher.search([cat, dog, bird], 10)
    assert [hit.key for hit in hits] == [1, 2]
    assert {hit.key: hit.score for hit in hits} == pytest.approx(expected, rel=1e-12)


def test_words_with_one_stem_count_twice(engine: PostingEngine, tmp_path: Path) -> None:
    chunks = {1: ["run", "x", "y"], 2: ["x"], 3: ["y"], 4: ["z"]}
    searcher = PostingSearcher([segment_of(chunks, tmp_path)], None, engine)
    once, twice = (
        searcher.search(searcher.statistics(query), 1)[0].score
        for query in ("running", "running runs")
    )
    assert twice == 2 * once


def test_equal_scores_are_sorted_by_key_across_segments(
    engine: PostingEngine, tmp_path: Path
) -> None:
    old = segment_of({key: ["a", "x"] for key in range(1, 400, 2)}, tmp_path)
    new = segment_of({key: ["a", "y"] for key in range(0, 400, 2)}, tmp_path)
    searcher = PostingSearcher([new, old], None, engine)
    hits = searcher.search(searcher.statistics("a"), 7)
    assert [hit.key for hit in hits] == [0, 1, 2, 3, 4, 5, 6]


def test_frequency_of_words_and_compounds(engine: PostingEngine, tmp_path: Path) -> None:
    chunks = {1: ["x", "rai"], 2: ["x"], 3: ["x"], 4: ["rai"]}
    searcher = PostingSearcher([segment_of(chunks, tmp_path)], key_array([1, 2, 4]), engine)
    assert [searcher.frequency(word) for word in ("x", "rays", "x-ray", "y", "?")] == [
        2,
        2,
        2,
        0,
        0,
    ]
    assert searcher.size == 3


@pytest.mark.parametrize("k", [0, -1])
def test_no_hits_are_wanted(k: int, engine: PostingEngine, tmp_path: Path) -> None:
    searcher = PostingSearcher([segment_of({1: ["a"]}, tmp_path)], None, engine)
    assert searcher.search(searcher.statistics("a"), k) == []


def test_nothing_to_search(engine: PostingEngine, tmp_path: Path) -> None:
    for segments in ([], [segment_of({}, tmp_path)], [segment_of({1: []}, tmp_path)]):
        searcher = PostingSearcher(segments, None, engine)
        statistics = searcher.statistics("word")
        assert searcher.search(statistics, 5) == []
        assert searcher.scores(statistics, [1]) == {}
    searcher = PostingSearcher([segment_of({1: ["word"]}, tmp_path)], key_array([]), engine)
    assert searcher.search(searcher.statistics("word"), 5) == []
    assert searcher.search([], 5) == []


corpora = st.lists(
    st.tuples(
        st.integers(0, 2),  # the segment
        st.booleans(),  # live
        st.booleans(),  # admitted by a filter
        st.lists(st.sampled_from([*WORDS, *["w0"] * 8, *["w1"] * 4]), max_size=12),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(corpora, st.lists(st.sampled_from([*WORDS, "unseen"]), max_size=6), st.integers(1, 50))
def test_random_corpora_are_scored_by_the_formula(
    tmp_path: Path, corpus: list[tuple[int, bool, bool, list[str]]], words: list[str], k: int
) -> None:
    """Any segmentation, tombstones and filter: the hits and scores of the live chunks alone."""
    parts: list[dict[int, list[str]]] = [{}, {}, {}]
    for key, (number, _, _, terms) in enumerate(corpus):
        parts[number][key * 3] = terms
    live = {key * 3: terms for key, (_, alive, _, terms) in enumerate(corpus) if alive}
    admitted = [key * 3 for key, (_, _, fits, _) in enumerate(corpus) if fits]
    query = " ".join(words)
    expected = reference_scores(live, query)
    filtered = {key: expected[key] for key in admitted if key in expected}
    segments = [segment_of(part, tmp_path) for part in parts]
    for engine in engines():
        searcher = PostingSearcher(segments, key_array(live), engine)
        statistics = searcher.statistics(query)
        assert searcher.search(statistics, k) == reference_hits(expected, k)
        mask = searcher.mask(key_array(admitted))
        assert searcher.search(statistics, k, mask) == reference_hits(filtered, k)
        assert searcher.scores(statistics, admitted) == filtered


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Chunks]]:
    """Chunks of many windows and blocks: common and rare words, and many equal scores."""
    draw = np.random.default_rng(4)
    words = np.array([f"w{number}" for number in range(3000)], object)
    ranks = np.minimum(draw.zipf(1.2, (30_000, 12)), 3000) - 1
    lengths = draw.integers(0, 13, len(ranks)).tolist()
    yield (
        tmp_path_factory.mktemp("large"),
        {
            key * 2: own[:length].tolist()
            for key, (own, length) in enumerate(zip(words[ranks], lengths, strict=True))
        },
    )


def test_both_engines_give_the_same_bits(large: tuple[Path, Chunks]) -> None:
    folder, chunks = large
    draw = np.random.default_rng(5)
    keys = sorted(chunks)
    ends = [0, 20_000, 29_000, 30_000]
    segments = [
        segment_of({key: chunks[key] for key in keys[start:end]}, folder)
        for start, end in pairwise(ends)
    ]
    live = key_array(draw.choice(keys, 26_000, replace=False).tolist())
    made = [PostingSearcher(segments, own, engine) for own in (None, live) for engine in engines()]
    masks = [key_array(draw.choice(keys, size, replace=False)) for size in (3, 700, 9000)]
    for number in range(60):
        query = " ".join(f"w{rank}" for rank in (3000 ** draw.random(1 + number % 8)).astype(int))
        for group in (made[: len(made) // 2], made[len(made) // 2 :]):
            found = [
                [
                    searcher.search(statistics, 1 + number * 5),
                    *(searcher.search(statistics, 10, searcher.mask(mask)) for mask in masks),
                    sorted(searcher.scores(statistics, masks[1]).items()),
                ]
                for searcher in group
                for statistics in (searcher.statistics(query),)
            ]
            assert all(other == found[0] for other in found)


def test_scores_and_hits_have_the_same_bits(
    engine: PostingEngine, large: tuple[Path, Chunks]
) -> None:
    folder, chunks = large
    searcher = PostingSearcher([segment_of(chunks, folder)], None, engine)
    statistics = searcher.statistics("w3 w40 w7 w1 w500 w2")
    hits = searcher.search(statistics, 300)
    assert len(hits) == 300
    assert searcher.scores(statistics, [hit.key for hit in hits]) == {
        hit.key: hit.score for hit in hits
    }


def test_threads_get_what_one_gets(engine: PostingEngine, large: tuple[Path, Chunks]) -> None:
    folder, chunks = large
    searcher = PostingSearcher([segment_of(chunks, folder)], None, engine)
    queries = [f"w{number} w{number * 7} w{number * 31}" for number in range(40)]
    alone = PostingSearcher([segment_of(chunks, folder)], None, engine)
    expected = [alone.search(alone.statistics(query), 10) for query in queries]
    found: dict[int, list[list[ChunkHit]]] = {}

    def run(thread: int) -> None:
        found[thread] = [searcher.search(searcher.statistics(query), 10) for query in queries]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), expected)


def test_ranking_and_scores_are_those_of_sqlite(engine: PostingEngine, tmp_path: Path) -> None:
    texts = [part for text in example_texts()[::20] for part in text.split("\n\n")]
    assert len(texts) > 100
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE VIRTUAL TABLE texts USING fts5 (title, text, tokenize = 'porter unicode61')"
    )
    rows = [(key, text.split("\n")[0], text) for key, text in enumerate(texts)]
    connection.executemany("INSERT INTO texts (rowid, title, text) VALUES (?, ?, ?)", rows)
    chunks = {key: tokens(title) + tokens(text) for key, title, text in rows}
    searcher = PostingSearcher([segment_of(chunks, tmp_path)], None, engine)
    compared = 0
    for text in texts:
        statistics = searcher.statistics(" ".join(text.split()[:6]))
        match = " OR ".join(f'"{item.term}"' for item in statistics)
        if not match:
            continue
        expected = connection.execute(
            "SELECT rowid, -rank FROM texts WHERE texts MATCH ? ORDER BY rank, rowid LIMIT 20",
            (match,),
        ).fetchall()
        hits = searcher.search(statistics, 20)
        scores = searcher.scores(statistics, [key for key, _ in expected])
        assert scores == pytest.approx(dict(expected), rel=1e-6)
        assert [hit.score for hit in hits] == pytest.approx([score for _, score in expected])
        for hit, (key, score) in zip(hits, expected, strict=True):
            # equal but for the last bits: the sum's order differs
            assert hit.key == key or hit.score == pytest.approx(score, rel=1e-12)
        compared += 1
    connection.close()
    assert compared > 100
