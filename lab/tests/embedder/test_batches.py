"""Batches contain no false negatives; hard negatives are not unjudged answers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from expertrag_index.types import FloatArray
from expertrag_lab.embedder.batches import batches
from expertrag_lab.embedder.dev import evaluate
from expertrag_lab.embedder.mining import mine
from expertrag_lab.embedder.types import DevSet, Example, Pair, Source


def _example(query: str, positive: str, *positives: str) -> Example:
    return Example(
        query, positive, f"text {positive}", known_positives=frozenset((positive, *positives))
    )


def test_every_example_is_used_once_and_no_batch_clashes() -> None:
    # ten queries, each with two documents: the second of a query must not share a batch
    examples = [
        _example(f"q{n}", f"d{n}{part}", f"d{n}a", f"d{n}b") for n in range(10) for part in "ab"
    ]
    made = batches(examples, 5, epoch=0, seed=0)
    used = [example for batch in made for example in batch]
    assert len(used) == len(set(used))
    for batch in made:
        queries = [example.query for example in batch]
        assert len(set(queries)) == len(queries)
        for one in batch:
            assert not any(
                other.positive_id in one.known_positives for other in batch if other is not one
            )


def test_epochs_differ_and_repeat() -> None:
    examples = [_example(f"q{n}", f"d{n}") for n in range(20)]
    assert batches(examples, 5, 0, 0) == batches(examples, 5, 0, 0)
    assert batches(examples, 5, 0, 0) != batches(examples, 5, 1, 0)


def test_one_document_for_all_queries_makes_batches_of_one() -> None:
    made = batches([_example(f"q{n}", "d") for n in range(5)], 4, 0, 0)
    assert [len(batch) for batch in made] == [1] * 5


def test_few_queries_with_many_documents_make_small_batches_of_all() -> None:
    examples = [
        _example(f"q{n}", f"d{n}-{m}", *(f"d{n}-{k}" for k in range(30)))
        for n in range(10)
        for m in range(30)
    ]
    made = batches(examples, 64, 0, 0)
    assert sum(map(len, made)) > 0.95 * len(examples)


def test_a_small_last_batch_is_dropped() -> None:
    made = batches([_example(f"q{n}", f"d{n}") for n in range(21)], 8, 0, 0)
    assert [len(batch) for batch in made] == [8, 8, 5]
    made = batches([_example(f"q{n}", f"d{n}") for n in range(19)], 8, 0, 0)
    assert [len(batch) for batch in made] == [8, 8]


VECTORS = {
    "query": (1.0, 0.0),
    "the answer": (0.9, np.sqrt(1 - 0.81)),
    "an answer never judged": (0.89, np.sqrt(1 - 0.89**2)),
    "near, but wrong": (0.7, np.sqrt(1 - 0.49)),
    "the other answer": (0.6, 0.8),
}
CORPUS = {str(n): text for n, text in enumerate(VECTORS) if text != "query"}


def _encode(texts: Sequence[str]) -> FloatArray:
    return np.array([VECTORS[text] for text in texts], np.float32)


def test_a_negative_is_less_similar_than_the_answer_by_a_margin() -> None:
    source = Source("set", CORPUS, (Pair("query", "1"), Pair("query", "4")))
    nothing = Source("set", CORPUS, ())
    first, second = mine(source, nothing, _encode, _encode, negatives=3).examples
    # 0.89 is more than .95 of 0.9: it may be an answer; the judged other answer is none either
    assert first.negatives == (("set/3", "near, but wrong"),)
    assert first.known_positives == {"set/1", "set/4"}
    # all others are nearer to the query than this answer: any of them may be one, too
    assert second.negatives == ()


def test_ndcg_of_hand_computed_ranks() -> None:
    dev = DevSet("set", ("query",), tuple(VECTORS)[1:], (frozenset({0, 2}),))
    # ranks 1 and 3 of two relevant: (1 + 1/2) / (1 + 1/log2(3))
    assert evaluate([dev], _encode) == pytest.approx({"set": 1.5 / (1 + 1 / np.log2(3))})


def test_judged_documents_outside_the_sample_are_not_negatives() -> None:
    judged = {"query": frozenset({"1", "2", "3"})}
    source = Source("set", CORPUS, (Pair("query", "1"),), judged)
    (example,) = mine(source, Source("set", CORPUS, ()), _encode, _encode, negatives=3).examples
    assert example.negatives == (("set/4", "the other answer"),)
    assert example.known_positives == {"set/1", "set/2", "set/3"}


def test_a_dev_set_holds_its_answers_and_their_positions() -> None:
    held_out = Source("set", CORPUS, (Pair("query", "4"), Pair("query", "2")))
    dev = mine(Source("set", CORPUS, ()), held_out, _encode, _encode).dev
    assert dev is not None
    assert dev.queries == ("query",)
    assert {dev.documents[place] for place in dev.relevant[0]} == {CORPUS["4"], CORPUS["2"]}
