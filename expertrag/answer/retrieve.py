"""Retrieve the passages of an answer, by one search or by several with draft answers between.

Near-duplicates are dropped, such as a copy of a file or the same page in two formats, unless they
differ in a number or a name. Of the versions of a document, the newest one in force is kept, and
what amends an earlier document stands before it.

Several steps are Iter-RetGen (Shao et al. 2023): an answer from the passages found so far often
names what the next search needs, such as the film whose director is asked for.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

from expertrag.api.types import Passage
from expertrag.grounding.amendments import put_amended_first
from expertrag.grounding.versions import newest_versions
from expertrag_retriever.types import SearchResult

DRAFT_TOKENS = 32
"""Maximum length of a draft answer, in tokens."""

SPARE = 2
"""Factor of passages to search for over those to return, since some may be duplicates."""

_DUPLICATE = 0.8  # share of the shorter passage's shingles that are in the other
_SHINGLE = 4  # words


@dataclass(frozen=True, slots=True)
class Gathered:
    """The passages to answer from, and pairs of one of an older version and the one in force."""

    result: SearchResult
    replaced: tuple[tuple[Passage, Passage], ...] = ()

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages to answer from, best first."""
        return self.result.passages


def gather(
    question: str,
    k: int,
    steps: int,
    search: Callable[[str], SearchResult],
    draft: Callable[[Sequence[Passage]], str],
) -> Gathered:
    """Search ``steps`` times, each after the first for the question with a draft answer.

    :param draft: generates a draft answer from passages.
    """

    def select(result: SearchResult) -> Gathered:
        versions = newest_versions(question, result.passages)
        distinct = _distinct(put_amended_first(question, versions.in_force), k)
        return Gathered(replace(result, passages=distinct), versions.replaced)

    gathered = select(search(question))
    for _ in range(steps - 1):
        if not gathered.passages:
            break
        answer = draft(gathered.passages)
        gathered = select(_interleave(gathered.result, search(f"{question} {answer}".strip())))
    return gathered


def _interleave(before: SearchResult, after: SearchResult) -> SearchResult:
    """Interleave the passages of both searches, the later one first."""
    turns = chain.from_iterable(zip_longest(after.passages, before.passages))
    once: dict[tuple[str, int], Passage] = {}
    for item in turns:
        if item is not None:
            once.setdefault((item.document_id, item.ordinal), item)
    scanned = before.vectors_scanned + after.vectors_scanned
    return replace(after, passages=tuple(once.values()), vectors_scanned=scanned)


def _distinct(passages: Sequence[Passage], k: int) -> tuple[Passage, ...]:
    """Keep the best ``k`` passages that are not near-duplicates of better ones (Broder 1997)."""
    kept: list[tuple[Passage, _Words]] = []
    for passage in passages:
        if len(kept) == k:
            break
        words = _Words.of(passage.text)
        if not any(words.repeats(other) for _, other in kept):
            kept.append((passage, words))
    return tuple(passage for passage, _ in kept)


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a passage; ``exact``: those with a digit or a capital letter."""

    shingles: frozenset[tuple[str, ...]]
    exact: frozenset[str]

    @classmethod
    def of(cls, text: str) -> _Words:
        written = [word.strip(string.punctuation) for word in text.split()]
        words = [word.lower() for word in written]
        starts = range(min(_SHINGLE, len(words)))
        shingles = frozenset(zip(*(words[start:] for start in starts), strict=False))
        exact = (word for word in written if any(c.isdigit() or c.isupper() for c in word))
        return cls(shingles, frozenset(exact))

    def repeats(self, other: _Words) -> bool:
        """Return whether one of two passages adds nothing to the other.

        Two versions of a policy share all words but the amount that was raised, and two contracts
        all but a name: these are not duplicates.
        """
        common = len(self.shingles & other.shingles)
        if common < _DUPLICATE * min(len(self.shingles), len(other.shingles)):
            return False
        return self.exact <= other.exact or other.exact <= self.exact
