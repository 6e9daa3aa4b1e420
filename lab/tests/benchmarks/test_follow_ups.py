"""The follow-ups of the evaluation, and how rewritings of them are judged."""

from __future__ import annotations

from collections import Counter

import pytest
from follow_ups import HALVES, STAND_ALONE, THANKS, faults, read_follow_ups

ASKED = read_follow_ups()


def test_there_are_many_follow_ups_of_many_kinds_in_two_halves() -> None:
    assert len(ASKED) >= 300
    assert len({one.kind for one in ASKED}) >= 10
    assert set(Counter(one.half for one in ASKED)) == set(HALVES)
    halves = {(one.conversation, one.half) for one in ASKED}
    assert len(halves) == len({one.conversation for one in ASKED})


def test_what_is_meant_is_right_and_what_was_sent_is_not() -> None:
    asked = [one for one in ASKED if one.kind != THANKS]
    assert [one for one in asked if not one.is_right(one.meant)] == []
    follow_ups = [one for one in asked if one.kind not in STAND_ALONE]
    assert [one for one in follow_ups if one.is_right(one.question)] == []
    assert [one.meant for one in asked if faults(one.meant)] == []


def test_a_message_that_stands_alone_must_stay_as_it_is() -> None:
    one = next(one for one in ASKED if one.kind == "change")
    assert one.is_right(one.question.lower())
    assert not one.is_right(f"{one.question} (leave in Spain)")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("How long is the paint' warranty?", "t'"),
        ("How long is The paint warranty?", " The"),
        ("What is the the price?", "the the"),
        ("When is my the lease over?", "my the"),
        ("When does the in Gdansk end?", "the in"),
        ("Who leads Heron??", "??"),
        ("What is the chairs' price in Paris's The Ritz?", ""),
    ],
)
def test_faults_are_found(text: str, fault: str) -> None:
    assert faults(text) == ([fault] if fault else [])
