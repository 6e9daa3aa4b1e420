"""The searches of a question of two hops: what the best passages name is searched for as well.

The film whose director is asked for, or the author whose manager is asked for, stands in the best
passages. A second search adds what the best passage says to the question, and further ones add each
name in it. What these find is read for names once more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from expertrag.api.types import Passage
from expertrag_retriever.types import SearchResult

BRIDGED = 3
"""Passages that a question of two hops reads more than others. Of 150 train questions of hotpotqa,
.73 have both of their passages in a prompt of five, and .86 in one of eight. Without the second
search, these are .64 and .75."""

BRIDGE_CHARACTERS = 300
"""Characters of the best passage that the second search looks for."""

_FIRST, _NAMES, _OF_EACH = 2, 6, 2
_NAME = re.compile(
    r"[^\W\d_a-zäöüß][\w'.-]*(?:\s+(?:(?:of|the|de|von|and|&)\s+)?[^\W\d_a-zäöüß][\w'.-]*)+"
)


def search_two_hops(question: str, search: Callable[[str], SearchResult]) -> SearchResult:
    """Return the passages of all searches, the question's own search first."""
    before = search(question)
    if not before.passages:
        return before
    best = before.passages[0]
    after = search(f"{question} {best.title} {best.text[:BRIDGE_CHARACTERS]}")
    by_name = [
        search(f"{name} {question}") for name in find_names(question, before.passages[:_FIRST])
    ]
    named = _take_turns([one.passages[:_OF_EACH] for one in by_name])
    further = find_names(question, list(chain(before.passages[:_FIRST], named)))
    more = [search(f"{name} {question}") for name in further[: _NAMES // 2]]
    named += _take_turns([one.passages[:1] for one in more])
    rest = _take_turns([after.passages, named, before.passages[_FIRST:]])
    distinct = {(one.document_id, one.ordinal): one for one in (*before.passages[:_FIRST], *rest)}
    scanned = sum(one.vectors_scanned for one in (before, after, *by_name, *more))
    return replace(before, passages=tuple(distinct.values()), vectors_scanned=scanned)


def find_names(question: str, passages: Sequence[Passage]) -> list[str]:
    """Return names of several words that passages have and the question lacks, by frequency."""
    asked = {word.casefold() for word in re.findall(r"\w+", question)}
    names: Counter[str] = Counter()
    for passage in passages:
        for match in _NAME.finditer(f"{passage.title}\n{passage.text}"):
            name = " ".join(match[0].split()).strip(".")
            if not {word.casefold() for word in re.findall(r"\w+", name)} <= asked:
                names[name] += 1
    return [name for name, _ in names.most_common(_NAMES)]


def _take_turns(lists: Sequence[Sequence[Passage]]) -> list[Passage]:
    """Return the first of each list, then the second of each, and so on."""
    turns: Iterator[Passage | None] = chain.from_iterable(zip_longest(*lists))
    return [one for one in turns if one is not None]
