"""Rows of totals."""

from __future__ import annotations

import pytest

from expertrag_index.tables.totals import without_totals
from expertrag_index.types import Scalar

ROWS: list[dict[str, Scalar]] = [
    {"day": "02/01/2025", "ship": "Petrel", "litres": "2,600"},
    {"day": "03/01/2025", "ship": "Kittiwake", "litres": "6,800"},
    {"day": "09/01/2025", "ship": "Petrel", "litres": "600"},
]


@pytest.mark.parametrize(
    ("last", "is_total"),
    [
        ({"day": "TOTAL", "ship": "", "litres": "10,000"}, True),
        ({"day": "Summe", "litres": 10_000}, True),
        ({"day": "10/01/2025", "ship": "Petrel", "litres": "10,000"}, False),
        ({"day": "10/01/2025", "ship": "", "litres": "700"}, False),
        ({"day": "open", "ship": "", "litres": None}, False),
    ],
)
def test_a_last_row_that_adds_up_the_others(last: dict[str, Scalar], is_total: bool) -> None:
    rows = [("a.csv", cells) for cells in [*ROWS, last]]
    assert len(without_totals(rows)) == len(rows) - is_total


def test_two_rows_have_no_total() -> None:
    total: dict[str, Scalar] = {"day": "TOTAL", "litres": "2,600"}
    rows = [("a.csv", cells) for cells in (ROWS[0], total)]
    assert without_totals(rows) == rows
