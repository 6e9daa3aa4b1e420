"""How a table is described to a language model."""

from __future__ import annotations

from datetime import date

from expertrag.queries.linking import QuestionParts, link_table
from expertrag.queries.schema import convert_numbers, describe_table
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument

TODAY = date(2026, 12, 1)
ROWS = [
    {"Tag": f"EQ-{number}", "Device": f"Device {number}", "State": state, "Minutes down": number}
    for number, state in enumerate(["in use", "in repair"] * 10, 1)
]
ROWS[7]["Device"] = "Ultrasound scanner"
DATABASE = TableDatabase.of(
    [
        TextDocument(
            f"register.csv#{at}", "", "register.csv", {**row, "text_fields": ["Tag"]}, "Tag: x"
        )
        for at, row in enumerate(ROWS, 1)
    ]
)


def describe(question: str) -> str:
    return describe_table(link_table(QuestionParts.of(question, TODAY), DATABASE.tables[0]))


def test_few_values_are_all_shown() -> None:
    assert "  State TEXT, -- 'in use', 'in repair'\n" in describe("What is being repaired?")


def test_of_many_values_those_like_the_question_are_shown() -> None:
    shown = describe("Which scaner is broken?")
    assert "'Ultrasound scanner', 'Device 1'" in shown
    assert "Device 9" not in shown


def test_numbers_are_converted_into_the_unit_of_a_column() -> None:
    parts = QuestionParts.of("What was down for two hours?", TODAY)
    link = link_table(parts, DATABASE.tables[0])
    assert list(convert_numbers(link)) == ["2 hour is 120 minute"]
