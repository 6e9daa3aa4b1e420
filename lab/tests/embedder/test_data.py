"""Preparation of training data: cleaning, dropping, holding out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from expertrag_index.types import FloatArray
from expertrag_lab.embedder.batches import batches
from expertrag_lab.embedder.data import prepare
from expertrag_lab.embedder.mining import mine
from expertrag_lab.embedder.types import DomainData, Pair, Source
from expertrag_retriever.errors import TrainingError

CORPUS = {f"d{n}": f"document number {n}" for n in range(60)}
SOURCE = Source("set", CORPUS, tuple(Pair(f"question {n}", f"d{n}") for n in range(60)))


def _queries(data: DomainData) -> tuple[set[str], set[str]]:
    """Trained on, and held out."""
    return (
        {pair.query for source in data.sources for pair in source.pairs},
        {pair.query for source in data.held_out for pair in source.pairs},
    )


@pytest.mark.parametrize(
    ("pairs", "reason"),
    [
        ([("what is oak", "d0")] * 40, "39 repeated"),
        ([(f"question {n}", "nowhere") for n in range(40)], "without their document"),
        ([("", f"d{n}") for n in range(40)], "empty or too short"),
        ([("what is an oak", "d0"), ("of an elm", "d1"), ("and a yew", "d2")], "has 3 usable"),
        ([("one question", f"d{n}") for n in range(40)], "40 usable pairs of 1 queries"),
    ],
)
def test_rejects_a_domain_with_too_little_data(pairs: list[tuple[str, str]], reason: str) -> None:
    poor = replace(SOURCE, pairs=tuple(Pair(*pair) for pair in pairs))
    with pytest.raises(TrainingError, match=reason):
        prepare("trees", [poor])


@pytest.mark.parametrize("name", ["general", "../up", "", "a/b", ".hidden", "a\nb"])
def test_rejects_forbidden_domain_names(name: str) -> None:
    with pytest.raises(TrainingError, match="cannot be called"):
        prepare(name, [SOURCE])


def test_drops_queries_identical_to_their_document() -> None:
    own = tuple(Pair(text.upper(), name) for name, text in list(CORPUS.items())[:5])
    data = prepare("trees", [replace(SOURCE, pairs=SOURCE.pairs + own)])
    assert data.dropped == {"whose query is its own document": 5}


def test_queries_of_other_splits_are_not_trained_on() -> None:
    data = prepare("trees", [replace(SOURCE, tested=frozenset({"Question  7", "question 8"}))])
    trained, held_out = _queries(data)
    assert not {"question 7", "question 8"} & (trained | held_out)
    assert data.dropped == {"that another split asks too": 2}


def test_a_query_held_out_of_one_source_is_held_out_of_all() -> None:
    # the second has the queries of the first, differently written, and as many of its own
    pairs = tuple(Pair(f"QUESTION {n}", f"d{n % 60}") for n in range(120))
    data = prepare("trees", [SOURCE, replace(SOURCE, name="other", pairs=pairs)])
    trained, held_out = _queries(data)
    assert trained and held_out
    assert not {text.lower() for text in trained} & {text.lower() for text in held_out}


def test_answers_do_not_depend_on_the_spelling_of_the_query() -> None:
    pairs = (*SOURCE.pairs, *(Pair(f"Question  {n}", f"d{(n + 1) % 60}") for n in range(60)))
    data = prepare("trees", [replace(SOURCE, pairs=pairs)])
    assert all(len(documents) == 2 for documents in data.sources[0].answers().values())


def test_sources_of_one_collection_share_documents() -> None:
    titles = Source("set, titles", CORPUS, (Pair("title of three", "d3"),), collection="set")
    (title,) = mine(titles, replace(titles, pairs=()), _one_place, _one_place).examples
    asked = replace(SOURCE, pairs=(Pair("question 3", "d3"),))
    (question,) = mine(asked, replace(asked, pairs=()), _one_place, _one_place).examples
    assert title.positive_id == question.positive_id == "set/d3"
    assert [len(batch) for batch in batches([title, question], 2, 0, 0)] == [1, 1]


def test_judged_documents_beyond_the_pairs_are_not_negatives() -> None:
    judged = {f"QUESTION {n}": frozenset({f"d{(n + 1) % 60}", "elsewhere"}) for n in range(60)}
    data = prepare("trees", [replace(SOURCE, judged=judged)])
    [source], [held_out] = data.sources, data.held_out
    assert source.answers()["question 7"] == {"d7", "d8", "elsewhere"}
    assert held_out.answers().keys() == {pair.query for pair in held_out.pairs}
    mined = mine(source, held_out, _one_place, _one_place)
    for example in mined.examples:
        assert len(example.known_positives) == 3
    assert mined.dev is not None
    assert {len(places) for places in mined.dev.relevant} == {2}  # "elsewhere" is no document


def _one_place(texts: Sequence[str]) -> FloatArray:
    return np.ones((len(texts), 1), np.float32)
