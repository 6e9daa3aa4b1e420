"""Numbers of tables in passages, in the three forms that tables have there."""

from __future__ import annotations

import pytest

from expertrag.api.types import Passage
from expertrag.calculations.cells import number_of, read_cells


def passage(text: str, title: str = "") -> Passage:
    return Passage("costs.md", 0, text, 0, len(text), 1.0, title=title)


def names(text: str) -> list[tuple[str, str, float]]:
    return [(cell.row, cell.column, cell.number) for cell in read_cells([passage(text)])]


@pytest.mark.parametrize(
    "text",
    [
        "| 2023 | 2024\nRent | 120 | 104.5\nTax | $(1,200) | 7%",
        " | 2023 | 2024 ; Rent | 120 | 104.5 ; Tax | $(1,200) | 7%",
    ],
    ids=["lines", "one line"],
)
def test_cells_below_a_header(text: str) -> None:
    assert names(text) == [
        ("Rent", "2023", 120),
        ("Rent", "2024", 104.5),
        ("Tax", "2023", -1200),
        ("Tax", "2024", 7),
    ]


def test_cells_with_the_names_of_their_columns() -> None:
    text = "Item | 2023 | 2024\nItem: Rent | 2023: 120 | 2024: 104"
    assert names(text) == [("Rent", "2023", 120), ("Rent", "2024", 104)]


def test_a_record_is_a_row() -> None:
    assert names("Item: Rent\n2023: 120\n2024: 104") == [
        ("Rent", "2023", 120),
        ("Rent", "2024", 104),
    ]


def test_a_header_of_two_lines_and_a_heading_between_rows() -> None:
    text = (
        "Costs in euros\n | Plan | | Actual\n | 2023 | 2024 | 2024\nSite | | |\nRent | 1.5 | 2 | 3"
    )
    cells = read_cells([passage(text)])
    assert [cell.column for cell in cells] == ["Plan 2023", "Plan 2024", "Actual 2024"]
    assert {(cell.section, cell.row) for cell in cells} == {("Site", "Rent")}
    assert cells[0].caption.startswith("Costs in euros")


def test_a_cell_knows_its_place() -> None:
    text = "Prices\n | May\nOak | $ 4.20\nPine | 3"
    for cell in read_cells([passage(text)]):
        assert text[cell.start : cell.end] == cell.written
    assert [cell.written for cell in read_cells([passage(text)])] == ["$ 4.20", "3"]


def test_texts_have_no_cells() -> None:
    assert names("The rent rose to 120 in 2024.\nNothing else changed.") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [("(3.5)", -3.5), ("$ (12)", -12), ("-4", -4), ("1,234", 1234), ("12 %", 12), ("n/a", None)],
)
def test_numbers_in_brackets_are_negative(text: str, number: float | None) -> None:
    assert number_of(text) == number
