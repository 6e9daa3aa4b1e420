"""Numbers and dates in the cells of tables."""

from __future__ import annotations

import pytest

from expertrag_index.tables.cells import (
    CellAmount,
    amount_of,
    date_of,
    month_number,
    uses_decimal_comma,
)
from expertrag_index.types import Scalar


@pytest.mark.parametrize(
    ("cell", "number", "unit"),
    [
        (12, 12, ""),
        ("1,234.50", 1234.5, ""),
        ("1.234,50 €", 1234.5, "€"),
        ("EUR 12,000", 12000, "EUR"),
        ("12'000 CHF", 12000, "CHF"),
        ("$1,200,000", 1200000, "$"),
        ("-4.5", -4.5, ""),
        ("45 minutes", 45, "minutes"),
        ("99 %", 99, "%"),
        ("1 234 567", 1234567, ""),
    ],
)
def test_amounts(cell: Scalar, number: float, unit: str) -> None:
    assert amount_of(cell) == CellAmount(number, unit)


@pytest.mark.parametrize(
    "cell", ["007", "v2", "10.0.0.1", "2026-05-01", "3 of 4", "12-14", True, "", "EUR", "1,23,4"]
)
def test_other_cells_are_not_amounts(cell: Scalar) -> None:
    assert amount_of(cell) is None


@pytest.mark.parametrize(
    ("cell", "day"),
    [
        ("2026-05-01", "2026-05-01"),
        ("2026-05-01T10:00:00+00:00", "2026-05-01"),
        ("2026/5/1", "2026-05-01"),
        ("2026-05", "2026-05"),
        ("01.05.2026", "2026-05-01"),
        ("1. Mai 2026", "2026-05-01"),
        ("1 May 2026", "2026-05-01"),
        ("the 1st", None),
        ("May 1st, 2026", "2026-05-01"),
        ("1er mai 2026", None),
        ("3 de mayo de 2026", "2026-05-03"),
        ("31 February 2026", None),
        ("2026-13", None),
        (20260501, None),
    ],
)
def test_dates(cell: Scalar, day: str | None) -> None:
    assert date_of(cell) == day


def test_months_have_names_in_four_languages() -> None:
    names = ("March", "märz", "Mars", "marzo", "Sept.", "spam")
    assert [month_number(name) for name in names] == [3, 3, 3, 3, 9, None]


@pytest.mark.parametrize(
    ("cells", "comma"),
    [
        (["17.01.2025", "9.700", "8.879,11"], True),
        (["9.700", "8,879.11"], False),
        (["9.700", "1,5", "2.25"], False),  # both: nothing is certain
        (["9.700", 8.5, None], False),
        (["1.234.567,8"], True),
        (["12:30, 14"], False),
    ],
)
def test_a_table_with_decimal_commas(cells: list[object], comma: bool) -> None:
    assert uses_decimal_comma(cells) is comma


def test_a_thousand_of_a_table_with_decimal_commas() -> None:
    assert amount_of("9.700 l", decimal_comma=True) == CellAmount(9700, "l")
    assert amount_of("9.700 l") == CellAmount(9.7, "l")
    assert amount_of("1234.567", decimal_comma=True) == CellAmount(1234.567)
    assert amount_of("8.879,11", decimal_comma=True) == CellAmount(8879.11)


@pytest.mark.parametrize("cell", ["9" * 5000, "1" + "0" * 20, "1," + ",".join(["000"] * 9)])
def test_a_number_that_no_column_can_hold_is_a_text(cell: str) -> None:
    assert amount_of(cell) is None
