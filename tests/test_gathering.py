"""Passages of several searches, by hand."""

from __future__ import annotations

from collections.abc import Sequence

from expertrag.gathering import gather
from expertrag.types import Passage
from expertrag_retriever.types import SearchResult

FOUND = {
    "Who directed Alien?": "abc",
    "Who directed Alien? a": "dbe",
    "Who directed Alien? d": "fd",
}


def search(query: str) -> SearchResult:
    passages = tuple(Passage(name, 0, name, 0, 1, 1.0) for name in FOUND[query])
    return SearchResult(passages, 10, 3, 0.5)


def first(passages: Sequence[Passage]) -> str:
    return passages[0].document_id


def names(result: SearchResult) -> str:
    return "".join(passage.document_id for passage in result.passages)


def test_one_step_is_one_search() -> None:
    def refuse(_passages: Sequence[Passage]) -> str:
        raise AssertionError("asked for an answer")

    found = gather("Who directed Alien?", 3, 1, search, refuse)
    assert (names(found), found.vectors_scanned) == ("abc", 10)


def test_each_step_goes_on_from_the_answer_before() -> None:
    two = gather("Who directed Alien?", 3, 2, search, first)
    assert (names(two), two.vectors_scanned, two.generation) == ("dab", 20, 3)
    assert names(gather("Who directed Alien?", 4, 2, search, first)) == "dabe"
    three = gather("Who directed Alien?", 3, 3, search, first)
    assert (names(three), three.vectors_scanned) == ("fda", 30)


def test_without_passages_there_is_nothing_to_go_on_from() -> None:
    def nothing(_query: str) -> SearchResult:
        return SearchResult((), 5, 1, 0.5)

    assert gather("Who?", 3, 3, nothing, first).vectors_scanned == 5


def test_an_empty_answer_asks_the_question_again() -> None:
    found = gather("Who directed Alien?", 3, 2, search, lambda _passages: " ")
    assert names(found) == "abc"
