"""Periods, and entries of a crontab."""

from __future__ import annotations

import pytest

from expertrag.grounding.values import Value, value_at


def read(text: str, start: int = 0) -> Value:
    value = value_at(text, start, text[start:].split()[0].strip("*/").lower())
    assert value is not None, text
    return value


@pytest.mark.parametrize("text", ["daily", "every day", "per day", "each day", "täglich", "a day"])
def test_every_day(text: str) -> None:
    assert read(text).words == ("/day",)


@pytest.mark.parametrize(
    ("text", "word", "period"),
    [
        ("weekly", "/week", "604800 s"),
        ("annually", "/year", "12 mo"),
        ("quarterly", "/quarter", "3 mo"),
        ("per calendar month", "/month", "1 mo"),
        ("monatlich", "/month", "1 mo"),
    ],
)
def test_a_period_is_an_amount_of_time(text: str, word: str, period: str) -> None:
    assert read(text).words == (word,)
    assert period in read(text).holds


def test_a_slash_before_a_period() -> None:
    assert read("€500/month", 5).words == ("/month",)


@pytest.mark.parametrize("text", ["month", "a quarter of an hour", "per head", "a house"])
def test_words_that_are_no_periods(text: str) -> None:
    assert value_at(text, 0, text.split()[0]) is None


@pytest.mark.parametrize(
    ("text", "words", "holds"),
    [
        ("15 2 * * * /bin/backup", ("02:15",), {"/day"}),
        ("30 4 * * 0 prune", ("04:30",), {"/week", "sunday"}),
        ("45 23 * * 1-5 rotate", ("23:45",), {"/week", "monday", "friday"}),
        ("5 0 1 * * archive", ("00:05",), {"/month", "1th"}),
        ("0 */6 * * * dump", ("21600 s",), set()),
    ],
)
def test_entries_of_a_crontab(text: str, words: tuple[str, ...], holds: set[str]) -> None:
    assert read(text).words == words
    assert holds <= {*read(text).holds}
    assert text[read(text).end :].startswith(" ")


def test_every_five_minutes() -> None:
    assert read("*/5 * * * * poll", 2).words[0] == "300 s"


@pytest.mark.parametrize("text", ["5 * 3 = 15", "2 * 3 * 4 * 5", "**15** 2 3 4"])
def test_products_are_no_entries(text: str) -> None:
    assert ":" not in read(text, text.index(text.strip("*")[0])).words[0]
