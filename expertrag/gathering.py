"""The passages of an answer: of one search, or of several that go on from what was answered.

Several steps are Iter-RetGen (Shao et al. 2023): an answer from the passages found so far often
names what the next search needs, such as the film whose director is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, zip_longest

from expertrag.types import Passage
from expertrag_retriever.types import SearchResult

DRAFT_TOKENS = 32
"""Longest answer that a search goes on from."""


def gather(
    question: str,
    k: int,
    steps: int,
    search: Callable[[str], SearchResult],
    draft: Callable[[Sequence[Passage]], str],
) -> SearchResult:
    """Search ``steps`` times, each but the first for the question with an answer to it.

    :param draft: answers from passages.
    """
    found = search(question)
    for _ in range(steps - 1):
        if not found.passages:
            break
        answer = draft(found.passages)
        found = _merged(found, search(f"{question} {answer}".strip()), k)
    return found


def _merged(before: SearchResult, after: SearchResult, k: int) -> SearchResult:
    """Take passages in turn, those of the later search first, each once, ``k`` in all."""
    turns = chain.from_iterable(zip_longest(after.passages, before.passages))
    once: dict[tuple[str, int], Passage] = {}
    for item in turns:
        if item is not None:
            once.setdefault((item.document_id, item.ordinal), item)
    return replace(
        after,
        passages=tuple(once.values())[:k],
        vectors_scanned=before.vectors_scanned + after.vectors_scanned,
    )
