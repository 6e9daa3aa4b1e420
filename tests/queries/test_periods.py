"""Periods in questions."""

from __future__ import annotations

from datetime import date

import pytest

from expertrag.queries.periods import find_periods

TODAY = date(2026, 12, 1)


@pytest.mark.parametrize(
    ("question", "first", "last"),
    [
        ("incidents in May 2026", "2026-05-01", "2026-05-31"),
        ("spend in Q2 2026", "2026-04-01", "2026-06-30"),
        ("im zweiten Quartal 2026", "2026-04-01", "2026-06-30"),
        ("in the first half of 2026", "2026-01-01", "2026-06-30"),
        ("between 1 March 2026 and 5 April 2026", "2026-03-01", "2026-04-05"),
        ("from January 2026 to March 2026", "2026-01-01", "2026-03-31"),
        ("contracts ending in 2027", "2027-01-01", "2027-12-31"),
        ("signed before 2024", "0001-01-01", "2023-12-31"),
        ("nach dem 31.12.2025", "2026-01-01", "9999-12-31"),
        ("since June 2025", "2025-06-01", "9999-12-31"),
        ("by the end of June 2026", "0001-01-01", "2026-06-30"),
        ("on 2026-05-07", "2026-05-07", "2026-05-07"),
        ("in 2026-05", "2026-05-01", "2026-05-31"),
        ("this year", "2026-01-01", "2026-12-31"),
        ("last month", "2026-11-01", "2026-11-30"),
        ("nächstes Jahr", "2027-01-01", "2027-12-31"),
    ],
)
def test_periods(question: str, first: str, last: str) -> None:
    (period,) = find_periods(question, TODAY)
    assert (period.first, period.last) == (first, last)


def test_a_month_without_a_year_is_open() -> None:
    (period,) = find_periods("How many incidents were there in May?", TODAY)
    assert (period.first, period.months) == ("", (5,))


def test_months_share_the_year_that_follows() -> None:
    first, second = find_periods("in May and June 2026", TODAY)
    assert (first.first, second.last) == ("2026-05-01", "2026-06-30")


@pytest.mark.parametrize(
    "question", ["You may leave.", "Version 2.2026 of 10.0.0.1", "room 2040a", "1,999.50 EUR"]
)
def test_other_words_and_numbers_are_not_periods(question: str) -> None:
    assert find_periods(question, TODAY) == ()
