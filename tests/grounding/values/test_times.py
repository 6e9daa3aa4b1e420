"""Times of day."""

from __future__ import annotations

import pytest

from expertrag.grounding.values import Value, value_at


def read(text: str) -> Value:
    value = value_at(text, 0, text.split()[0].lower())
    assert value is not None, text
    return value


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("02:15", "02:15"),
        ("2:15 am", "02:15"),
        ("2.15 pm", "14:15"),
        ("14.15 Uhr", "14:15"),
        ("9 a.m.", "09:00"),
        ("12 am", "00:00"),
        ("12 pm", "12:00"),
        ("8:45 in the morning", "08:45"),
        ("2 to 5 pm", "14:00"),
        ("09:12:33", "09:12"),
        ("noon", "12:00"),
    ],
)
def test_times(text: str, word: str) -> None:
    assert read(text).words == (word,)


def test_a_time_without_its_half_of_the_day_has_two_readings() -> None:
    assert (read("2:15").words, read("2:15").also) == (("02:15",), ("14:15",))
    assert not read("02:15").also
    assert not read("14:15").also


@pytest.mark.parametrize("text", ["2.15", "25:10", "16:9", "2 amps", "7 h"])
def test_other_numbers_are_no_times(text: str) -> None:
    assert ":" not in read(text).words[0]
