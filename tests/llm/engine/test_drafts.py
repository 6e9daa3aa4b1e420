"""Draft tokens come from earlier occurrences, and stop when they are rejected."""

from __future__ import annotations

import pytest

from expertrag.llm.engine.drafts import PromptLookup


@pytest.mark.parametrize(
    ("tokens", "most", "found"),
    [
        ([1, 2, 3, 4, 5, 6, 1, 2, 3], 2, [4, 5]),
        ([1, 2, 3, 4, 5, 6, 1, 2, 3, 9], 2, []),
        ([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], 1, [5]),  # the last occurrence counts
        ([8, 1, 2, 7, 9, 1, 2], 1, [7]),  # two tokens are enough
        ([8, 1, 2, 7, 9, 2], 1, []),
        ([1], 3, []),
        ([1, 1], 3, []),
        ([1, 2], 3, []),
        ([1, 1, 1], 3, [1]),
    ],
)
def test_draft_tokens_are_what_followed_before(
    tokens: list[int], most: int, found: list[int]
) -> None:
    assert PromptLookup().propose(tokens, most=most) == found


def test_rejected_tokens_end_drafting_and_accepted_ones_lengthen_it() -> None:
    tokens = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    wrong, right = PromptLookup(), PromptLookup()
    assert right.propose(tokens, most=6) == [4, 5]
    for _ in range(12):
        wrong.observe(4, 0)
        right.observe(4, 4)
    assert wrong.propose(tokens, most=6) == []
    assert right.propose(tokens, most=6) == [4, 5, 6, 1, 2, 3]
    for _ in range(5):  # drafting is retried after some steps
        wrong.propose(tokens, most=6)
    assert len(wrong.propose(tokens, most=6)) == 1
