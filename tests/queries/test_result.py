"""Questions about tables, from their words to the numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from company_tables import company

from expertrag.queries.candidates import rank_tables
from expertrag.queries.linking import QuestionParts, TableLink, link_tables
from expertrag.queries.query import TableQuery
from expertrag.queries.result import (
    QueryResult,
    count_decimals,
    find_alike,
    identify_rows,
    link_question,
    run_question,
)
from expertrag.queries.targets import QueryTarget
from expertrag.queries.wording import to_coverage, to_lines, to_table
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument
from expertrag_retriever.types import QuestionScope

DATABASE = company()
TODAY = date(2026, 12, 1)
COUNT, LIST = QuestionScope.COUNT, QuestionScope.LIST
AGGREGATE, EXISTS = QuestionScope.AGGREGATE, QuestionScope.EXISTS


def link_best(question: str) -> TableLink | None:
    candidates = rank_tables(
        link_tables(QuestionParts.of(question, TODAY), DATABASE.tables), DATABASE, ()
    )
    return link_question([one.link for one in candidates[:2]], DATABASE)


def ask(question: str, scope: QuestionScope) -> QueryResult:
    link = link_best(question)
    assert link is not None
    assert link.understood, link.unlinked
    result = run_question(link, scope, DATABASE)
    assert result is not None
    return result


def word(question: str, scope: QuestionScope) -> str:
    result = ask(question, scope)
    decimals = count_decimals(result.query, DATABASE) if result.query.target.measure else 0
    return "\n".join(line.text for line in to_lines(result, decimals))


@pytest.mark.parametrize(
    ("question", "scope", "text"),
    [
        ("What did we spend on travel in Q2 2026?", AGGREGATE, "2,344.61 EUR"),
        ("How much has Ben Okoro spent on meals?", AGGREGATE, "45.10 EUR"),
        ("how much did Ben Okoro spend in may 2026", AGGREGATE, "1,245.10 EUR"),
        ("What was the average duration of the incidents?", AGGREGATE, "80.00 minutes"),
        ("Which employee spent most on travel?", AGGREGATE, "- Ben Okoro: 1,200.00 EUR"),
        ("What is the longest incident?", AGGREGATE, "- Certificate expired on gateway 3"),
        ("What was the first incident?", AGGREGATE, "- Certificate expired on gateway 1"),
        ("How many incidents happened in May?", COUNT, "2 of 3"),
        ("Wie viele Vorfälle gab es im April?", COUNT, "1 of 3"),
        ("How many incidents were there?", COUNT, "3 (all rows"),
        ("How many incidents of high severity took more than 60 minutes?", COUNT, "1 of 3"),
        ("how many diferent categories are there in the expenses", COUNT, "3 different values"),
        ("How many incidents were there in August 2026?", COUNT, "0: none of the 3"),
        ("Did Cara Voss have any expenses in May or June 2026?", EXISTS, "Yes, 1 of 5"),
        ("Are there any expenses for hotels?", EXISTS, "No, none of the 5"),
        ("Do all people work in Berlin?", EXISTS, "No, 2 of 3"),
    ],
)
def test_numbers(question: str, scope: QuestionScope, text: str) -> None:
    assert word(question, scope).startswith(text)


@pytest.mark.parametrize(
    ("question", "names"),
    [
        ("Who works in Berlin?", {"Ben Okoro", "Cara Voss"}),
        ("Which people do not work in Oslo?", {"Ben Okoro", "Cara Voss"}),
        ("Which servers have more than 100 GB of RAM?", {"beta"}),
        ("Servers with at least 64 GB of RAM", {"alpha", "beta"}),
        (
            "Which incidents were there in May and June 2026?",
            {"Disk full on backup 2", "Certificate expired on gateway 3"},
        ),
        ("Welche Mitarbeiter arbeiten in Oslo?", {"Ada Lund"}),
        ("Which incidents were there since 20 May 2026?", {"Certificate expired on gateway 3"}),
        (
            "Which incidents were there between 13 May 2026 and 30 May 2026?",
            {"Certificate expired on gateway 3"},
        ),
    ],
)
def test_lists(question: str, names: set[str]) -> None:
    result = ask(question, LIST)
    assert {row[0] for row in to_table(result).rows} == names
    assert to_coverage(result, DATABASE).complete is True
    assert set(result.documents) == {source for (source,) in to_table(result).sources}


def test_rows_without_a_tested_value_leave_the_answer_open() -> None:
    coverage = to_coverage(ask("Who has the manager Ben Okoro?", LIST), DATABASE)
    assert (coverage.complete, coverage.left_out) == (None, 1)
    assert "1 of 3 rows have no “manager”" in coverage.reason


def test_a_month_of_several_years_is_named() -> None:
    coverage = to_coverage(ask("What were the expenses in June?", AGGREGATE), DATABASE)
    assert coverage.complete is None
    assert "2026, 2025" in coverage.reason


def test_equal_maxima_are_all_named() -> None:
    text = word("Which office has the most people?", AGGREGATE)
    assert text.startswith("- Berlin (2)")


@pytest.mark.parametrize(
    "question",
    ["Who is the king of Norway?", "How many moons does Jupiter have?", "What is a certificate?"],
)
def test_other_questions_are_not_understood(question: str) -> None:
    link = link_best(question)
    assert link is None or not link.understood


STAFF = TableDatabase.of(
    [
        TextDocument(
            "staff.html",
            "",
            "staff.html",
            {},
            "# Staff\n\nNo. | Surname | First name | Site\n"
            "No.: F1 | Surname: Lund | First name: Ada | Site: Esker\n"
            "No.: F2 | Surname: Moss | First name: Ada | Site: Esker\n"
            "No.: F3 | Surname: Lund | First name: Jon | Site: Oslo",
        )
    ]
)


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (("First name",), "- Ada Lund"),
        (("Surname",), "- Ada Lund"),
        (("First name", "Site"), "- Ada Lund (Site: Esker)"),
        (("Site",), "- Esker (No.: F1)"),  # two rows have the site
        (("No.",), "- F1"),
    ],
)
def test_a_line_says_which_row_is_meant(shown: tuple[str, ...], line: str) -> None:
    (table,) = (one for one in STAFF.tables if not one.is_family)
    query = TableQuery(table, QueryTarget(""), (), shown)
    query = replace(query, shown=identify_rows(query, STAFF))
    rows = STAFF.run(query.rows_sql)
    result = QueryResult(query, LIST, STAFF.run(query.sql), rows, table.rows)
    assert to_lines(result, 0)[0].text == line


@pytest.mark.parametrize(
    ("question", "alike"),
    [
        ("How many cases did Ada lead?", "cases 2024"),
        ("How many cases did Ada lead in 2025?", ""),
    ],
)
def test_the_folder_of_another_year_makes_a_count_incomplete(question: str, alike: str) -> None:
    documents = [
        TextDocument(path, path, path, {"lead": lead, "day": f"{year}-05-0{number}"}, "A case.")
        for year in (2024, 2025)
        for number, lead in enumerate(("Ada", "Ben", "Ada"), 1)
        for path in [f"cases/{year}/C{number}.md"]
    ]
    database = TableDatabase.of(documents)
    links = link_tables(QuestionParts.of(question, TODAY), database.tables)
    (link,) = (one for one in links if "cases 2025" in one.table.names)
    assert find_alike(link, database) == alike
    result = run_question(link, COUNT, database)
    assert result is not None
    coverage = to_coverage(result, database)
    assert (coverage.complete is None) is bool(alike), coverage.reason


@pytest.mark.parametrize(
    ("file", "column", "question"),
    [
        ("staff 2025.csv", "hours", "What are the hours of the staff in 2025 in total?"),
        ("staff.csv", "hours given in 2025", "How many hours were given in 2025?"),
    ],
)
def test_a_year_in_the_name_of_a_table_or_column_is_the_year_of_all_rows(
    file: str, column: str, question: str
) -> None:
    documents = []
    for number, (name, joined, hours) in enumerate(
        (("Ann", "2019-02-01", 3), ("Bo", "2021-04-05", 4))
    ):
        row = {"name": name, "joined": joined, column: hours}
        metadata = {**row, "text_fields": list(row)}
        documents.append(TextDocument(f"{file}#{number}", "", file, metadata, ""))
    database = TableDatabase.of(documents)
    link = link_tables(QuestionParts.of(question, TODAY), database.tables)[0]
    result = run_question(link, AGGREGATE, database)
    assert result is not None
    assert result.values.rows == ((7,),)
    linked = link_tables(QuestionParts.of("Who joined the staff in 2025?", TODAY), database.tables)[
        0
    ]
    assert linked.periods
