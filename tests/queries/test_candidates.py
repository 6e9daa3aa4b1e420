"""Which table a question is about, by words and by a search."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from company_tables import company

from expertrag.queries.candidates import has_fields, rank_tables
from expertrag.queries.linking import QuestionParts, link_tables
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument

DATABASE = company()
TODAY = date(2026, 12, 1)


def best(question: str, documents: Sequence[str] = (), database: TableDatabase = DATABASE) -> str:
    return rank_tables(
        link_tables(QuestionParts.of(question, TODAY), database.tables), database, documents
    )[0].link.table.name


def test_a_search_decides_where_the_words_say_nothing() -> None:
    question = "Who was on the road the longest?"
    assert best(question, ["people.json#1", "people.json#2"]) == "people"
    assert best(question, ["expenses.csv#1", "expenses.csv#3"]) == "expenses"


def test_words_that_name_a_table_outweigh_a_few_passages() -> None:
    assert best("How many incidents were there?", ["people.json#1"]) == "incidents"


@pytest.mark.parametrize(
    ("question", "table"),
    [
        ("How many guests came?", "guests_2025"),
        ("How many guests came in 2024?", "guests_2024"),
        ("How many guests came in 2025?", "guests_2025"),
    ],
)
def test_the_year_of_a_file_is_the_year_of_the_question(question: str, table: str) -> None:
    documents = [
        TextDocument(
            f"archive/guests_{year}.csv#{row}" if year < 2025 else f"guests_{year}.csv#{row}",
            "",
            f"guests_{year}.csv",
            {"guest": f"Guest {row}", "nights": row, "text_fields": ["guest"]},
            f"guest: Guest {row}",
        )
        for year in (2024, 2025)
        for row in range(1, 4)
    ]
    database = TableDatabase.of(documents)
    assert best(question, [one.id for one in documents], database) == table


def test_fields_tell_more_than_titles() -> None:
    parts = QuestionParts.of("How many?", TODAY)
    links = {
        one.link.table.name: one.link
        for one in rank_tables(link_tables(parts, DATABASE.tables), DATABASE, ())
    }
    assert has_fields(links["incidents"])
    notes = [
        TextDocument(f"notes/{name}.docx", name, f"notes/{name}.docx", {"author": "A"}, "Text.")
        for name in ("one", "two", "three")
    ]
    database = TableDatabase.of(notes)
    (plain,) = rank_tables(link_tables(parts, database.tables), database, ())
    assert not has_fields(plain.link)


def test_a_table_whose_dates_are_outside_the_period_is_not_asked() -> None:
    documents = [
        TextDocument(
            f"{name}.csv#{row}",
            "",
            f"{name}.csv",
            {"trip": f"{name}-{row}", "day": f"2025-{month:02}-1{row}", "text_fields": ["trip"]},
            f"trip: {name}-{row}",
        )
        for name, month in (("trips_first", 2), ("trips_summer", 5))
        for row in range(1, 9)
    ]
    database = TableDatabase.of(documents)
    voters = ["trips_first.csv#1", "trips_first.csv#2", "trips_summer.csv#1"]
    assert best("How many trips in the first quarter of 2025?", voters, database) == "trips_first"
    assert best("How many trips in the second quarter of 2025?", voters, database) == "trips_summer"
