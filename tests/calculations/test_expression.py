"""Calculations that a model writes: what is read, and what code computes."""

from __future__ import annotations

import pytest

from expertrag.calculations.expression import Calculation, read_calculation, write_messages


def test_an_expression_is_computed_from_its_quantities() -> None:
    calculation = read_calculation(" ([tax in 2024] - [tax in 2023]) / [tax in 2023] * 100")
    assert calculation is not None
    assert calculation.quantities == ("tax in 2024", "tax in 2023")
    assert calculation.is_percentage
    assert calculation.compute({"tax in 2024": 15, "tax in 2023": 12}) == pytest.approx(25)
    assert calculation.write({"tax in 2024": "15", "tax in 2023": "12"}) == "(15 - 12) / 12 * 100"


@pytest.mark.parametrize(
    "text",
    [
        " none",
        "",
        " [rent in 2024]",
        " [rent] - [ta",
        " ([rent] - [tax]",
        " [rent] ** [tax]",
        " average of [rent] + [tax]",
        " __import__('os') - [rent]",
    ],
)
def test_what_is_not_a_calculation_is_not_read(text: str) -> None:
    assert read_calculation(text) is None


def test_the_average_of_a_row_names_one_quantity() -> None:
    calculation = read_calculation(" average of [staff]")
    assert calculation is not None
    assert calculation.averages_row
    assert calculation.quantities == ("staff",)


def test_a_division_by_zero_has_no_value() -> None:
    assert Calculation("[a] / [b]").compute({"a": 1.0, "b": 0.0}) is None


def test_the_prompt_ends_with_the_question() -> None:
    messages = write_messages("How much did the rent rise?")
    assert [message.role for message in messages[-2:]] == ["user", "assistant"]
    assert messages[-2].content == "How much did the rent rise?"
