"""Passages of several searches, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from expertrag.answer.search import Gathered, gather
from expertrag.api.types import Passage
from expertrag.llm import prompt
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


def names(result: Gathered) -> str:
    return "".join(passage.document_id for passage in result.passages)


def test_one_step_is_one_search() -> None:
    def refuse(_passages: Sequence[Passage]) -> str:
        raise AssertionError("asked for an answer")

    found = gather("Who directed Alien?", 3, 1, search, refuse)
    assert (names(found), found.result.vectors_scanned) == ("abc", 10)


def test_each_step_searches_with_the_previous_draft() -> None:
    two = gather("Who directed Alien?", 3, 2, search, first)
    assert (names(two), two.result.vectors_scanned, two.result.generation) == ("dab", 20, 3)
    assert names(gather("Who directed Alien?", 4, 2, search, first)) == "dabe"
    three = gather("Who directed Alien?", 3, 3, search, first)
    assert (names(three), three.result.vectors_scanned) == ("fda", 30)


def test_without_passages_there_is_no_second_search() -> None:
    def nothing(_query: str) -> SearchResult:
        return SearchResult((), 5, 1, 0.5)

    assert gather("Who?", 3, 3, nothing, first).result.vectors_scanned == 5


def test_passages_of_two_searches_are_interleaved_in_the_prompt() -> None:
    """Scores of two searches are not comparable, so they must not determine the order."""
    scores = {"Who?": {"a": 1.9, "b": 1.8, "c": 1.7}, "Who? a": {"x": 0.9, "y": 0.8, "a": 0.7}}

    def scored(query: str) -> SearchResult:
        found = tuple(Passage(n, 0, n, 0, 1, score) for n, score in scores[query].items())
        return SearchResult(found, 10, 3, 0.5)

    passages = gather("Who?", 4, 2, scored, first).passages
    packed = prompt.pack("Who?", passages, lambda messages: len(str(messages)), 10_000)
    assert "".join(passage.document_id for passage in packed.kept) == "xayb"
    assert packed.kept[1].score == 1.9  # the score of the first search


def test_an_empty_draft_repeats_the_question() -> None:
    found = gather("Who directed Alien?", 3, 2, search, lambda _passages: " ")
    assert names(found) == "abc"


def test_near_duplicates_are_dropped() -> None:
    boilerplate = "This page is part of the manual of the tool and may be out of date. " * 3
    texts = {
        "guide.html": boilerplate + "Use --force to overwrite.",
        "guide.rst": boilerplate + "Use --force to overwrite it.",
        "other": "Release notes of the second version, with what has changed since the first one.",
        "third": "A list of all commands, each with an example that can be copied from here.",
    }

    def find(_query: str) -> SearchResult:
        found = [Passage(name, 0, text, 0, len(text), 1.0) for name, text in texts.items()]
        return SearchResult(tuple(found), 10, 3, 0.5)

    result = gather("How?", 3, 1, find, first)
    assert [p.document_id for p in result.passages] == ["guide.html", "other", "third"]
    assert len(gather("How?", 2, 1, find, first).passages) == 2


POLICY = "Employees who travel by train may book first class if the trip takes longer than {}. " * 2


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [
        (POLICY.format("3 hours", "3 hours"), POLICY.format("4 hours", "4 hours"), 2),
        (POLICY + "Signed by Ana Kovac.", POLICY + "Signed by Ben Adler.", 2),
        (POLICY, f"**{POLICY}**", 1),  # the same in another format
        (POLICY, POLICY + "Signed by Ana Kovac.", 1),  # the shorter one adds nothing
    ],
)
def test_passages_that_differ_in_a_number_or_a_name_are_both_kept(
    one: str, other: str, count: int
) -> None:
    def find(_query: str) -> SearchResult:
        passages = [Passage(text, 0, text, 0, len(text), 1.0) for text in (one, other)]
        return SearchResult(tuple(passages), 10, 3, 0.5)

    assert len(gather("How?", 3, 1, find, first).passages) == count
