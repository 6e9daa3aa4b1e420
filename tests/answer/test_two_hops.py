"""The searches of a question of two hops."""

from __future__ import annotations

from expertrag.answer.two_hops import find_names, search_two_hops
from expertrag.api.types import Passage
from expertrag_retriever.types import SearchResult

TEXTS = {
    "plan": "The incident plan was written by Piotr Zielak in Cardiff.",
    "people": "name: Piotr Zielak\nmanager: Rhys Penhallow",
    "head": "name: Rhys Penhallow\nrole: Head of IT",
    "canteen": "The canteen is open at noon.",
}


def passage(name: str) -> Passage:
    return Passage(name, 0, TEXTS[name], 0, len(TEXTS[name]), 1.0, title=name)


def search(query: str) -> SearchResult:
    """Return the passages with most capitalised words of a query."""
    words = {word for word in query.split() if word[0].isupper()} | {*query.lower().split()}
    shared = {name: len(words & {*text.split()}) for name, text in TEXTS.items()}
    best = sorted((name for name in TEXTS if shared[name]), key=lambda name: -shared[name])
    return SearchResult(tuple(map(passage, best[:2])), 1, 1, 0.5)


def test_names_that_the_question_lacks() -> None:
    names = find_names("Who is the manager of Piotr Zielak?", [passage("people"), passage("plan")])
    assert names == ["Rhys Penhallow"]


def test_what_the_passages_name_is_searched_for() -> None:
    result = search_two_hops("what is the role of the manager of the incident plan author", search)
    names = [one.document_id for one in result.passages]
    assert names[0] == "plan"
    assert {"people", "head"} <= {*names}
    assert result.vectors_scanned > 2


def test_a_search_without_passages_ends() -> None:
    nothing = SearchResult((), 0, 1, 0.5)
    assert search_two_hops("anything", lambda _: nothing) == nothing
