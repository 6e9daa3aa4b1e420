"""The rows that a question names."""

from __future__ import annotations

import pytest

from expertrag.queries.named_rows import MOST_ROWS, find_named_rows
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument

STAFF = """Staff list

Surname | First name | Town | Desk
Surname: Lund | First name: Ada | Town: Esker | Desk: 4
Surname: Lund | First name: Jon | Town: Mirevale | Desk: 7
Surname: Okonjo | First name: Ada | Town: Esker | Desk: 9
Surname: Moss | First name: Hanne | Town: Esker | Desk: 11"""
TICKETS = """Ticket | State | Opened by
Ticket: T-17 | State: open | Opened by: Ada Lund
Ticket: T-18 | State: open | Opened by: Ada Lund
Ticket: T-19 | State: done | Opened by: Jon Lund"""

DATABASE = TableDatabase.of(
    [
        TextDocument("staff.xlsx", "", "staff.xlsx", {}, STAFF),
        TextDocument("tickets.html", "", "tickets.html", {}, TICKETS),
    ]
)


@pytest.mark.parametrize(
    ("question", "documents", "name"),
    [
        ("In which town does Ada Lund live?", ["staff.xlsx"], "Ada Lund"),
        ("in which town does ada lund live", ["staff.xlsx"], "ada lund"),
        ("Where does Hanne live?", ["staff.xlsx"], "Hanne"),
        ("Who opened T-18?", ["tickets.html"], "T-18"),
        ("Who sits at desk 11?", ["staff.xlsx"], "11"),
    ],
)
def test_a_row_is_named_by_what_no_other_row_has(
    question: str, documents: list[str], name: str
) -> None:
    rows = find_named_rows(question, DATABASE)
    assert [row.document for row in rows] == documents
    assert rows[0].name == name


@pytest.mark.parametrize(
    "question",
    [
        "Which tickets are open?",  # a value of many rows
        "Who lives in Esker?",
        "Where does Ada live?",  # two people have the name
        "",
    ],
)
def test_values_of_several_rows_name_none(question: str) -> None:
    assert find_named_rows(question, DATABASE) == []


def test_both_rows_of_a_comparison_are_named() -> None:
    rows = find_named_rows("Who lives closer, Hanne Moss or Jon Lund?", DATABASE)
    assert {row.texts["Surname"] for row in rows if row.document == "staff.xlsx"} == {
        "Moss",
        "Lund",
    }
    assert len(rows) <= MOST_ROWS


@pytest.mark.parametrize(
    "question", ["Who opened T-18?" + " and Ada" * 3000, f"What is {'9' * 5000}?", f"Desk {10**30}"]
)
def test_a_long_question_or_number_is_no_error(question: str) -> None:
    assert all("T-18" in row.words for row in find_named_rows(question, DATABASE))
