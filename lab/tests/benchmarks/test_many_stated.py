"""Numbers that a text states, against values read by hand."""

from __future__ import annotations

import pytest
from many.stated import cell, claims, numbers


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("6,184.96 EUR", [(6184.96,)]),
        ("6.184,96 €", [(6184.96,)]),
        ("6184.96", [(6184.96,)]),
        ("1,234 or 1.234", [(1234.0, 1.234), (1234.0, 1.234)]),
        ("1 234 567", [(1234567.0,)]),
        ("no incidents", [(0.0,)]),
        ("No, there are three.", [(3.0,)]),
        ("INC-104 on 2025-05-04 at 10:30 [2]", []),
        ("5 of 26", [(5.0,)]),
        ("zwölf", [(12.0,)]),
        ("0,5", [(0.5,)]),
    ],
)
def test_numbers(text: str, values: list[tuple[float, ...]]) -> None:
    assert [item.values for item in numbers(text)] == values


def test_claims_are_the_first_and_last_numbers_that_the_question_does_not_have() -> None:
    text = "Of 26 incidents in 2025, 7 lasted over 90 minutes. The longest was 240."
    found = claims(text, "How many lasted more than 90 minutes?")
    assert [item.values for item in found] == [(26.0,), (7.0,), (240.0,)]


def test_a_rounded_number_is_enough_for_an_average() -> None:
    (whole,), (fine,) = numbers("283"), numbers("283.4")
    assert whole.equals(283.435, rounded=True)
    assert fine.equals(283.435, rounded=True)
    assert not whole.equals(283.435, rounded=False)
    assert not numbers("6")[0].equals(6.0667, rounded=True)  # too coarse
    assert numbers("6.1")[0].equals(6.0667, rounded=True)


def test_cells() -> None:
    assert [item.values for item in cell(3)] == [(3.0,)]
    assert [item.values for item in cell("1,5")] == [(1.5,)]
    assert cell(None) == cell(True) == []
