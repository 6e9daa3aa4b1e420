"""Numbers and dates in the cells of tables."""

from __future__ import annotations

import pytest

from expertrag_index.tables.cells import CellAmount, amount_of, date_of, month_number
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
