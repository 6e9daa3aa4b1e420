"""The cells that the quantities of a calculation name."""

from __future__ import annotations

from expertrag.api.types import Passage
from expertrag.calculations.cells import NumberCell, read_cells
from expertrag.calculations.quantities import find_quantities, list_row

FEES = " | 2024 | 2023\nAudit fees | 90 | 80\nTax fees | 11 | 28\nTotal fees | 101 | 108"
COSTS = " | 2024\nTax | 5\nWages | 70"


def cells(*texts: str) -> list[NumberCell]:
    return read_cells(
        [Passage(f"{at}.md", 0, text, 0, len(text), 1.0) for at, text in enumerate(texts)]
    )


def numbers(quantities: list[str], *texts: str) -> list[float] | None:
    result = find_quantities(quantities, cells(*texts))
    return None if result is None else [result.cells[quantity].number for quantity in quantities]


def test_the_row_and_the_year_are_found() -> None:
    assert numbers(["tax fees in 2024", "tax fees in 2023"], FEES) == [11, 28]
    assert numbers(["audit fees in 2023", "total fees in 2023"], FEES) == [80, 108]


def test_the_cells_are_taken_from_one_table() -> None:
    assert numbers(["tax fees in 2024", "tax fees in 2023"], COSTS, FEES) == [11, 28]


def test_the_cells_may_stand_in_two_records() -> None:
    months = [f"Month: {name}\nadults: {number}" for name, number in (("May", 40), ("June", 55))]
    assert numbers(["adults in June", "adults in May"], *months) == [55, 40]


def test_what_no_table_names_is_not_found() -> None:
    assert numbers(["visitors in 2024", "visitors in 2023"], FEES) is None
    assert numbers(["tax fees in 2024"]) is None


def test_two_quantities_are_two_cells() -> None:
    assert numbers(["tax fees in May 2024", "tax fees in June 2024"], FEES) is None


def test_a_name_in_other_words_is_not_sure() -> None:
    sure = find_quantities(["tax fees in 2024", "audit fees in 2024"], cells(FEES))
    unsure = find_quantities(["tax fees in 2024", "audit charges in 2024"], cells(FEES))
    assert sure is not None and sure.is_sure
    assert unsure is not None and not unsure.is_sure


def test_the_cells_of_a_row() -> None:
    every = cells(FEES)
    assert [cell.number for cell in list_row(every[2], every)] == [11, 28]
