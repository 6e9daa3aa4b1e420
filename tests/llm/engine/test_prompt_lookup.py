"""Draft tokens come from earlier occurrences, and stop when they are rejected."""

from __future__ import annotations

from expertrag.llm.engine.prompt_lookup import PromptLookup


def test_draft_tokens_are_what_followed_before() -> None:
    lookup = PromptLookup()
    assert lookup.propose([1, 2, 3, 4, 5, 6, 1, 2, 3], most=2) == [4, 5]
    assert lookup.propose([1, 2, 3, 4, 5, 6, 1, 2, 3, 9], most=2) == []


def test_the_last_occurrence_counts() -> None:
    assert PromptLookup().propose([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], most=1) == [5]


def test_two_tokens_are_enough() -> None:
    assert PromptLookup().propose([8, 1, 2, 7, 9, 1, 2], most=1) == [7]
    assert PromptLookup().propose([8, 1, 2, 7, 9, 2], most=1) == []


def test_a_short_sequence_has_nothing_to_look_up() -> None:
    for tokens in ([1], [1, 1], [1, 2]):
        assert PromptLookup().propose(tokens, most=3) == []
    assert PromptLookup().propose([1, 1, 1], most=3) == [1]


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
