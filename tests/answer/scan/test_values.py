"""Values of a text by kind."""

from __future__ import annotations

from decimal import Decimal

import pytest

from expertrag.answer.scan.periods import Period
from expertrag.answer.scan.values import Kind, Quantity, find_mentions, parse_value

TEXT = (
    "It runs for two years from 1 March 2024 at EUR 12,500.00 a year; 14 people and 8 % discount. "
    "Die Gebühr beträgt 12.500,00 € oder €1.200, kündbar mit drei Monaten Frist."
)


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (Kind.DATE, ["1 March 2024"]),
        (Kind.MONEY, ["EUR 12,500.00", "12.500,00 €", "€1.200"]),
        (Kind.DURATION, ["two years", "drei Monaten"]),
        (Kind.NUMBER, ["14", "8 %"]),
        (Kind.NAME, []),
        (Kind.YESNO, []),
    ],
)
def test_values_are_found_by_kind(kind: Kind, written: list[str]) -> None:
    mentions = find_mentions(TEXT, kind)
    assert [mention.written for mention in mentions] == written
    assert [TEXT[m.start : m.end] for m in mentions] == written


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("EUR 12,500.00", "12500"),
        ("12.500,00 €", "12500"),
        ("€1.200", "1200"),  # amounts have no three decimals
        ("5 000 EUR", "5000"),
        ("12 thousand euros", "12000"),
    ],
)
def test_the_same_amount_is_read_of_all_spellings(written: str, number: str) -> None:
    assert parse_value(written, Kind.MONEY) == Quantity(Decimal(number), "eur")


def test_a_year_is_no_number() -> None:
    assert [m.written for m in find_mentions("In 2026, 40 people", Kind.NUMBER)] == ["40"]


def test_a_date_without_a_year_gets_the_year_of_the_one_before() -> None:
    found = find_mentions("Signed on 5 May 2025, due on 9 June.", Kind.DATE)
    assert [m.normal.written for m in found if isinstance(m.normal, Period)] == [
        "2025-05-05",
        "2025-06-09",
    ]


def test_months_and_days_are_compared_as_seconds() -> None:
    months = parse_value("three months", Kind.DURATION)
    days = parse_value("60 days", Kind.DURATION)
    assert isinstance(months, Quantity)
    assert isinstance(days, Quantity)
    assert months.comparable > days.comparable
