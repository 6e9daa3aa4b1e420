"""Amounts that are the same, however they are written, and those that are not."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest

from expertrag.grounding.values import units_named, value_at, with_units
from expertrag.grounding.values.value import Value


def read(text: str) -> Value:
    """Read the value at the first word of a text."""
    match = re.search(r"[^\W\d_]+|\d+", text)
    assert match is not None
    value = value_at(text, match.start(), match[0].lower())
    assert value is not None, text
    return value


@pytest.mark.parametrize(
    "same",
    [
        ("€70", "EUR 70", "70 euros", "70 €", "70.00 EUR", "70,00 Euro"),
        ("$1.2 million", "$1,200,000", "USD 1200k", "$1.2m", "1,2 Mio. USD"),
        ("£1.8bn", "1.8 billion pounds", "GBP 1,800,000,000"),
        ("45p", "£0.45", "45 pence"),
        ("70 %", "70%", "70 percent", "70 per cent", "70 Prozent"),
        ("9 percentage points", "nine percentage points", "9 % points"),
        ("30 days", "30-day", "thirty days", "thirty (30) days", "30 Tage", "30 days' notice"),
        ("90 minutes", "1.5 h", "1,5 Stunden", "90 min", "5400 s"),
        ("2 years", "24 months", "two years", "24 Monate"),
        ("half an hour", "30 minutes"),
        ("5 GB", "5 gigabytes"),
        ("0.85 kg", "850 grams", "0.85 kilograms"),
        ("1,200", "1200", "1'200", "1\u202f200"),
        ("1.450,00", "1,450.00", "1450"),
        ("38,5", "38.5"),
        ("twenty-five", "25", "twenty five"),
        ("-10 °C", "\u221210 °C", "-10 to 45 °C"),
        ("10 kg", "10-15 kg", "10 to 15 kg"),
        ("3rd", "third"),
        ("v2.4.1", "version 2.4.1"),
    ],
)
def test_the_same_amount_has_the_same_words(same: tuple[str, ...]) -> None:
    values = [read(text).words for text in same]
    assert len({*values}) == 1, values


@pytest.mark.parametrize(
    "others",
    [
        ("€70", "£70", "$70", "70 %", "70", "CHF 70", "70 days", "70 kg", "70 percentage points"),
        ("30 days", "30 weeks", "30 months", "30 hours", "31 days"),
        ("512 MB", "512 GB", "512 MiB", "512 kB"),
        ("1.2 million euros", "1.2 billion euros", "1.2 euros"),
        ("v2.4.1", "v2.1.4"),
        ("10 °C", "10 °F"),
    ],
)
def test_other_amounts_have_other_words(others: tuple[str, ...]) -> None:
    assert len({read(text).words for text in others}) == len(others)


def test_a_dot_before_three_digits_has_two_readings() -> None:
    assert read("1.200 €").words + read("1.200 €").also == ("1.2 eur", "1200 eur")
    assert not read("1.20 €").also
    assert not read("0.125").also


def test_what_an_amount_supports() -> None:
    assert {"30", "day"} <= {*read("30 days").holds}
    assert {"22.8 %", "22.8"} <= {*(value_at("-22.8 %", 1, "22") or read("1")).holds}
    assert read("170").number == "170"
    assert not read("170 kg").number


def test_leading_zeros_of_a_number_are_kept() -> None:
    assert read("0171").words == ("0171",)


@pytest.mark.parametrize(
    ("text", "exact"),
    [("one of them", False), ("one year", True), ("three keys", True), ("first", False)],
)
def test_a_count_is_exact(text: str, *, exact: bool) -> None:
    assert read(text).exact is exact


def test_the_two_are_not_counted() -> None:
    value = value_at("the two towns", 4, "two")
    assert value and not value.exact


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("Hotel limit (€): 170", [("1", "eur")]),
        ("Limit in EUR: 170", [("1", "eur")]),
        ("Figures in million EUR.", [("1000000", "eur")]),
        ("Sales (in thousands)", [("1000", "")]),
        ("Weight (kg)", [("1000", "g")]),
        ("70 € and EUR 20", []),
        ("invoice(s) of (h) the office, in the house", []),
    ],
)
def test_units_without_a_number(text: str, named: list[tuple[str, str]]) -> None:
    assert [(f"{unit.factor:f}", unit.base) for unit in units_named(text)] == named


def test_numbers_with_the_unit_of_a_column() -> None:
    (unit,) = units_named("Duration (min)")
    assert unit.factor == Decimal(60)
    assert list(with_units(["1.5", "30"], [unit])) == ["90 s", "1800 s"]
    assert read("30 min").words == ("1800 s",)
