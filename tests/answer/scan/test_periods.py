"""Periods of days: dates, months, quarters and years, in English and German."""

from __future__ import annotations

import datetime

import pytest

from expertrag.answer.scan.periods import Period, parse_period, periods_in

TODAY = datetime.date(2026, 5, 20)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("28 February 2026", "2026-02-28"),
        ("1. März 2024", "2024-03-01"),
        ("31/12/2026", "2026-12-31"),
        ("31.12.2026", "2026-12-31"),
        ("in 2026", "2026"),
        ("im Mai 2025", "2025-05"),
        ("in May", "--05"),
        ("the second quarter of 2025", "2025-04-01/2025-06-30"),
        ("Q4 2025", "2025-10-01/2025-12-31"),
        ("between March and May 2026", "2026-03-01/2026-05-31"),
        ("between 5 March and 8 May 2026", "2026-03-05/2026-05-08"),
        ("from 2024 to 2025", "2024-01-01/2025-12-31"),
        ("this year", "2026"),
        ("next month", "2026-06"),
        ("last quarter", "2026-01-01/2026-03-31"),
        ("nächstes Jahr", "2027"),
    ],
)
def test_a_period_is_read_however_it_is_written(text: str, written: str) -> None:
    period = parse_period(text, TODAY)
    assert period is not None
    assert period.written == written


def test_words_about_today_need_a_day() -> None:
    assert parse_period("next year") is None


@pytest.mark.parametrize("text", ["", "soon", "14 people", "EUR 2,026.50", "room 20261"])
def test_no_period_is_read_of_other_texts(text: str) -> None:
    assert parse_period(text, TODAY) is None


def test_dates_have_their_places() -> None:
    text = "From 1 May 2024 until 30.04.2026."
    assert [text[start:end] for start, end, _ in periods_in(text)] == ["1 May 2024", "30.04.2026"]


def test_months_end_on_the_day_before() -> None:
    def after(first: datetime.date, months: int) -> str:
        later = Period(first, first).after_months(months)
        assert later is not None
        return later.written

    assert after(datetime.date(2024, 3, 1), 24) == "2026-02-28"
    assert after(datetime.date(2024, 1, 15), 12) == "2025-01-14"
    assert after(datetime.date(2023, 8, 31), 6) == "2024-02-29"
    assert Period.of(9999, 1, 1).after_months(24) is None


def test_a_leap_day_moves_to_the_28th() -> None:
    assert Period.of(2024, 2, 29).in_year(2025).written == "2025-02-28"
