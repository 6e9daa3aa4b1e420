"""Queries that a language model drafts: what is read, and what they decide."""

from __future__ import annotations

from datetime import date

import pytest
from company_tables import company

from expertrag.queries.candidates import rank_tables
from expertrag.queries.drafts import draft_messages, read_draft
from expertrag.queries.linking import QuestionParts, TableLink, link_table, link_tables
from expertrag.queries.result import run_question
from expertrag.queries.wording import to_coverage
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument
from expertrag_retriever.types import QuestionScope

DATABASE = company()
TODAY = date(2026, 12, 1)
TRAVEL = "What did we spend on travel in Q2 2026?"


def link(question: str) -> TableLink:
    return rank_tables(
        link_tables(QuestionParts.of(question, TODAY), DATABASE.tables), DATABASE, ()
    )[0].link


def test_the_prompt_has_the_table_and_the_days_of_periods() -> None:
    _, user, begun = draft_messages(link(TRAVEL))
    assert "CREATE TABLE expenses ( -- expenses" in user.content
    assert "category TEXT, -- 'travel', 'meals', 'hardware'" in user.content
    assert "Q2 2026 is from '2026-04-01' to '2026-06-30'" in user.content
    assert begun.content == "SELECT"


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        (
            "SUM(amount) FROM expenses WHERE category = 'travel'",
            'SELECT SUM("amount") FROM "expenses" WHERE ("category" = \'travel\') '
            'AND "amount" IS NOT NULL',
        ),
    ],
)
def test_queries_of_one_table_are_read(text: str, sql: str) -> None:
    query = read_draft(text, link(TRAVEL))
    assert query is not None
    assert query.sql == sql
    assert DATABASE.run(query.rows_sql).rows


@pytest.mark.parametrize(
    ("text", "sql", "note"),
    [
        (
            "SUM(amount) FROM expenses WHERE category = 'meals'",
            'SELECT SUM("amount") FROM "expenses" WHERE ("category" = \'meals\') '
            'AND "amount" IS NOT NULL',
            "taken as “meals”",
        ),
        (
            "SUM(amount) FROM expenses WHERE category = 'travel' AND amount > 500",
            'SELECT SUM("amount") FROM "expenses" WHERE ("category" = \'travel\') '
            'AND "amount" IS NOT NULL',
            "left out",
        ),
        (
            "SUM(amount) FROM expenses",
            'SELECT SUM("amount") FROM "expenses" WHERE "amount" IS NOT NULL',
            "“travel” is not compared",
        ),
    ],
)
def test_notes_say_what_a_draft_assumes_or_lacks(text: str, sql: str, note: str) -> None:
    query = read_draft(text, link(TRAVEL))
    assert query is not None
    assert query.sql == sql
    assert any(note in one for one in query.notes)


@pytest.mark.parametrize(
    "text",
    [
        "T1.employee FROM expenses AS T1 ORDER BY T1.amount DESC LIMIT 1",
        "employee FROM expenses WHERE amount = (SELECT MAX(amount) FROM expenses)",
        "employee FROM expenses WHERE category IS NOT NULL AND "
        "amount = (SELECT MAX(amount) FROM expenses)",
    ],
)
def test_the_row_of_the_largest_value(text: str) -> None:
    query = read_draft(text, link("Whose expense was the largest?"))
    assert query is not None
    assert DATABASE.run(query.sql).rows == (("Ben Okoro", 1200.0),)


def test_a_query_of_groups_is_read() -> None:
    text = "employee, SUM(amount) FROM expenses GROUP BY employee ORDER BY SUM(amount) DESC LIMIT 1"
    query = read_draft(text, link("Which employee has the highest expenses in total?"))
    assert query is not None
    assert (query.target.operation, query.target.group, query.target.limit) == (
        "SUM",
        "employee",
        1,
    )
    assert DATABASE.run(query.sql).rows == (("Ben Okoro", 1245.1),)


@pytest.mark.parametrize(
    "text",
    [
        "e.amount FROM expenses e JOIN people p ON e.employee = p.name",
        "amount FROM expenses WHERE category IN (SELECT name FROM people)",
        "SUM(tax) FROM expenses",
        "I cannot answer this",
        "",
    ],
)
def test_other_texts_are_not_read(text: str) -> None:
    assert read_draft(text, link(TRAVEL)) is None


def test_an_answer_is_complete_if_the_model_agrees() -> None:
    asked = link(TRAVEL)
    text = "SUM(amount) FROM expenses WHERE category = 'travel' AND date >= '2026-04-01' "
    same = read_draft(f"{text} AND date <= '2026-06-30'", asked)
    other = read_draft(text.replace("04-01", "05-01"), asked)
    results = [
        run_question(asked, QuestionScope.AGGREGATE, DATABASE, draft, asked_model=True)
        for draft in (same, other, None)
    ]
    coverages = [to_coverage(result, DATABASE) for result in results if result]
    assert [one.complete for one in coverages] == [True, None, None]
    assert "2 ways" in coverages[1].reason
    assert "one reading" in coverages[2].reason


def test_a_draft_answers_what_words_leave_open() -> None:
    asked = link("Which expenses were bigger than those of Cara Voss?")
    draft = read_draft("employee FROM expenses WHERE employee <> 'Cara Voss'", asked)
    result = run_question(asked, QuestionScope.LIST, DATABASE, draft, asked_model=True)
    assert result is not None
    assert to_coverage(result, DATABASE).complete is None


HOUSES = (
    ("Clockmaker's House", "yes", "collision with quay", "Ada Lund"),
    ("Orchard Row", "no", "oil spill", "Ben Okoro"),
    ("Mill Lane", "no", "near miss", "Ada Lund"),
)


def link_houses(question: str) -> tuple[TableLink, TableDatabase]:
    """Link a question with a table of houses."""
    documents = []
    for number, cells in enumerate(HOUSES, 1):
        row = dict(zip(("house", "insured", "damage", "keeper"), cells, strict=True))
        metadata = {**row, "text_fields": list(row)}
        documents.append(TextDocument(f"houses.csv#{number}", "", "houses.csv", metadata, ""))
    database = TableDatabase.of(documents)
    return link_table(QuestionParts.of(question, TODAY), database.tables[0]), database


@pytest.mark.parametrize(
    ("question", "text", "rows"),
    [
        (
            "Who keeps Clockmaker's House?",
            "keeper FROM houses WHERE house = 'Clockmaker's House'",
            1,
        ),
        (
            "How often was there a collision?",
            "house FROM houses WHERE damage = 'collision with quay'",
            1,
        ),
        ("Which houses are not insured?", "house FROM houses WHERE insured IS NULL", 2),
        ("Which houses are insured?", "house FROM houses WHERE insured IS NOT NULL", 1),
    ],
)
def test_values_are_read_as_the_table_has_them(question: str, text: str, rows: int) -> None:
    asked, database = link_houses(question)
    query = read_draft(text, asked)
    assert query is not None
    assert len(database.run(query.rows_sql).rows) == rows


@pytest.mark.parametrize("day", ["2026-12-31", "2026-06-21"])
def test_a_day_of_a_period_is_read_as_the_whole_period(day: str) -> None:
    asked = link("Which expenses were made in 2026?")
    query = read_draft(f"employee FROM expenses WHERE date = '{day}'", asked)
    assert query is not None
    assert len(DATABASE.run(query.rows_sql).rows) == 4


def test_a_day_that_the_question_says_is_read_as_that_day() -> None:
    asked = link("Which expenses were made on 21 June 2026?")
    query = read_draft("employee FROM expenses WHERE date = '2026-06-21'", asked)
    assert query is not None
    assert len(DATABASE.run(query.rows_sql).rows) == 1


def test_cells_that_an_aggregate_leaves_out_are_not_a_condition() -> None:
    query = read_draft(
        "SUM(amount) FROM expenses WHERE amount IS NOT NULL", link("What is the total amount?")
    )
    assert query is not None
    assert query.sql == 'SELECT SUM("amount") FROM "expenses" WHERE "amount" IS NOT NULL'
    assert not query.notes


def test_a_name_that_the_question_does_not_say_is_left_out() -> None:
    asked, _ = link_houses("Which houses have had an oil spill?")
    query = read_draft(
        "house FROM houses WHERE damage = 'oil spill' AND keeper = 'Ada Lund'", asked
    )
    assert query is not None
    assert "keeper" not in query.where
    assert any("left out" in note for note in query.notes)


def test_a_query_without_a_condition_that_the_question_says_is_not_read() -> None:
    asked, _ = link_houses("How many houses are on fire?")
    assert read_draft("COUNT(*) FROM houses WHERE keeper = 'Ada Lund'", asked) is None
    assumed = "COUNT(*) FROM houses WHERE damage = 'oil spill'"
    assert read_draft(assumed, asked) is not None
    assert read_draft(f"{assumed} AND keeper = 'Ada Lund'", asked) is None
