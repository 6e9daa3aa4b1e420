"""Guesses come from what was there before, and stop where they are wrong."""

from __future__ import annotations

from expertrag.llm.engine.lookup import Lookup


def test_what_followed_is_guessed() -> None:
    lookup = Lookup()
    assert lookup.guess([1, 2, 3, 4, 5, 6, 1, 2, 3], most=2) == [4, 5]
    assert lookup.guess([1, 2, 3, 4, 5, 6, 1, 2, 3, 9], most=2) == []


def test_the_last_place_counts() -> None:
    assert Lookup().guess([1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3], most=1) == [5]


def test_two_tokens_are_enough() -> None:
    assert Lookup().guess([8, 1, 2, 7, 9, 1, 2], most=1) == [7]
    assert Lookup().guess([8, 1, 2, 7, 9, 2], most=1) == []


def test_a_short_text_has_nothing_to_look_up() -> None:
    for tokens in ([1], [1, 1], [1, 2]):
        assert Lookup().guess(tokens, most=3) == []
    assert Lookup().guess([1, 1, 1], most=3) == [1]


def test_wrong_guesses_end_it_and_right_ones_make_them_longer() -> None:
    tokens = [1, 2, 3, 4, 5, 6, 1, 2, 3]
    wrong, right = Lookup(), Lookup()
    assert right.guess(tokens, most=6) == [4, 5]
    for _ in range(12):
        wrong.judge(4, 0)
        right.judge(4, 4)
    assert wrong.guess(tokens, most=6) == []
    assert right.guess(tokens, most=6) == [4, 5, 6, 1, 2, 3]
    for _ in range(5):  # now and then it is tried again
        wrong.guess(tokens, most=6)
    assert len(wrong.guess(tokens, most=6)) == 1
