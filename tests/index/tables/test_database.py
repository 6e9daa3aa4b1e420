"""Tables that are derived from the documents of a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from store_helper import HashingEmbedder

from expertrag_index.build.writer import IndexWriter
from expertrag_index.errors import FilterError, SearchError
from expertrag_index.loaders.limits import ReadLimits
from expertrag_index.loaders.load import load
from expertrag_index.store.index import Index
from expertrag_index.tables.database import TableDatabase
from expertrag_index.tables.extract import TextDocument
from expertrag_index.types import LoadFailure

FILES = {
    "expenses.csv": "date,employee,amount,currency\n"
    "2026-04-03,Ada,834.21,EUR\n2026-05-07,Ben,1200.00,USD\n",
    "people.json": json.dumps(
        [{"name": "Ada", "office": "Oslo"}, {"name": "Ben", "office": "Bern", "phone": "007"}]
    ),
    "hosts.html": "<h1>Hosts</h1><table><tr><th>Host</th><th>RAM (GB)</th></tr>"
    "<tr><td>alpha</td><td>64</td></tr><tr><td>beta</td><td>128</td></tr></table>",
    "incidents/INC-1.md": "---\nseverity: high\n---\n# Expired\n\n"
    "**Duration:** 40 minutes\n\nAll is well.",
    "incidents/INC-2.md": "---\nseverity: low\n---\n# Full\n\n"
    "**Duration:** 80 minutes\n\nNote: none.",
    "secret/plan.md": "---\nlabels: [board]\n---\n# Plan\n\nBudget | Owner\n--- | ---\n9 | Cara\n",
}


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    docs, limits = tmp_path / "docs", ReadLimits(labels_field="labels")
    failures: list[LoadFailure] = []
    for name, text in FILES.items():
        (docs / name).parent.mkdir(parents=True, exist_ok=True)
        (docs / name).write_text(text)
    with IndexWriter.open(tmp_path / "store", HashingEmbedder()) as writer:
        writer.build(load([docs], on_failure=failures.append, limits=limits))
    assert not [failure for failure in failures if not failure.notice]
    with Index.open(tmp_path / "store") as index:
        yield index


def names_of(database: TableDatabase) -> set[str]:
    return {table.name for table in database.tables}


def test_each_kind_of_file_is_a_table(index: Index) -> None:
    database = index.tables()
    assert {"expenses", "people", "hosts", "incidents", "documents"} <= names_of(database)
    expenses = database.table("expenses")
    assert expenses is not None
    assert {column.name: column.kind for column in expenses.columns} == {
        "date": "date",
        "employee": "text",
        "amount": "number",
        "currency": "text",
    }
    rows = database.run("SELECT sum(amount), _document FROM expenses WHERE employee = ?", ["Ben"])
    assert rows.rows == ((1200.0, "expenses.csv#2"),)
    assert database.run('SELECT sum("RAM (GB)") FROM hosts').rows == ((192,),)
    query = "SELECT title, Duration FROM incidents WHERE severity = 'high'"
    assert database.run(query).rows == (("Expired", 40),)
    incidents = database.table("incidents")
    assert incidents is not None
    assert incidents.is_family
    duration = incidents.column("Duration")
    assert duration is not None
    assert (duration.kind, duration.unit) == ("number", "minutes")


def test_a_filter_applies_before_rows_are_counted(index: Index) -> None:
    database = index.tables({"severity": "low"})
    assert database.run("SELECT title FROM documents").rows == (("Full",),)
    assert "expenses" not in names_of(database)
    with pytest.raises(FilterError):
        index.tables({"unknown": 1})


def test_a_restricted_reader_has_the_tables_of_what_it_sees(index: Index) -> None:
    assert index.tables().run("SELECT Budget FROM plan").rows == ((9,),)
    public = index.restrict([]).tables()
    assert "plan" not in names_of(public)
    assert public.run("SELECT count(*) FROM documents WHERE title = 'Plan'").rows == ((0,),)
    assert index.restrict(["board"]).tables().run("SELECT Owner FROM plan").rows == (("Cara",),)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM expenses",
        "UPDATE expenses SET amount = 0",
        "CREATE TABLE spam (x)",
        "ATTACH '/tmp/x.db' AS x",
        "PRAGMA table_info(expenses)",
        "SELECT * FROM nowhere",
        "SELECT load_extension('x')",
        "not SQL",
    ],
)
def test_only_queries_run(index: Index, sql: str) -> None:
    with pytest.raises(SearchError, match="cannot be run"):
        index.tables().run(sql)
    assert index.tables().run("SELECT count(*) FROM expenses").rows == ((2,),)


def test_a_query_that_takes_long_ends(index: Index) -> None:
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    with pytest.raises(SearchError):
        index.tables().run(endless)


def test_columns_that_differ_in_case_are_one() -> None:
    metadata = {"Name": "a", "name": "b", "text_fields": ["Name", "name"]}
    document = TextDocument("t.csv#1", "", "t.csv", metadata, "Name: a\nname: b")
    (table,) = TableDatabase.of([document]).tables
    assert [column.name for column in table.columns] == ["Name"]


def test_many_rows_are_cut() -> None:
    documents = [
        TextDocument(f"t.csv#{n}", "", "t.csv", {"n": n, "text_fields": ["n"]}, f"n: {n}")
        for n in range(10_050)
    ]
    rows = TableDatabase.of(documents).run("SELECT n FROM t")
    assert (len(rows.rows), rows.more) == (10_000, True)


def test_a_store_that_is_too_large_has_no_tables(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("expertrag_index.store.index.MOST_CHUNKS", 3)
    assert index.tables().tables == ()
