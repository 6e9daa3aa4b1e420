"""Misspelled words of a query are corrected to words that a store contains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from store_helper import build

from expertrag_index import Index
from expertrag_index.types import Document
from expertrag_index.words.spelling import respell

HELD = {"partial": 4, "index": 9, "indexes": 9, "notice": 5, "period": 7, "berlin": 3, "form": 8}


def held(word: str) -> int:
    return HELD.get(word, 0)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("How do I create a partail index?", "How do I create a partial index?"),  # swapped
        ("notcie perriod", "notice period"),  # swapped; one letter too many
        ("a partal index", "a partial index"),  # one too few
        ("the noticu period", "the notice period"),  # a wrong one
        ("flights to Belrin", "flights to berlin"),  # of a name, letters may be swapped
    ],
)
def test_corrects_one_edit(query: str, expected: str) -> None:
    assert respell(query, lambda word: held(word) or _english(word)) == expected


@pytest.mark.parametrize(
    "query",
    [
        "partial index",  # nothing to do
        "flights to Merlin",  # a name, of which no letter is changed
        "from",  # too short, and a stop word
        "xeriod abc notize9 période",  # first letters and what is not a word stay
        "",
        "partiallly",  # two edits away
    ],
)
def test_everything_else_is_unchanged(query: str) -> None:
    assert respell(query, lambda word: held(word) or _english(word)) == query


def test_a_word_in_only_one_chunk_is_not_a_correction() -> None:
    assert (
        respell("a partail index", lambda word: {"partial": 1, "index": 2}.get(word, 0))
        == "a partail index"
    )


def test_a_query_in_another_language_is_unchanged() -> None:
    query = "perixd partiax noticx indexex formx"
    assert respell(query, held) == query


def test_frequencies_are_looked_up_in_lower_case() -> None:
    def frequency(word: str) -> int:
        assert word == word.lower()
        return held(word)

    assert respell("NOTICE Preiod", frequency) == "NOTICE period"


def test_a_store_corrects_a_query_with_its_own_words(tmp_path: Path, hashing: Any) -> None:
    texts = ["The notice period is four weeks.", "After the notice period nothing is paid."]
    build(tmp_path / "store", hashing, [Document(str(at), text) for at, text in enumerate(texts)])
    with Index.open(tmp_path / "store") as index:
        assert index.respell("How long is the notcie peroid?") == "How long is the notice period?"
        assert index.respell("How long is the probation?") == "How long is the probation?"


def _english(word: str) -> int:
    return int(word in {"create", "flights", "from", "does"})
