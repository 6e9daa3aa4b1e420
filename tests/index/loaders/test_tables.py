"""CSV files: no row is lost, whatever stands above the table, in its header or in its cells."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index.conftest import parsed

from expertrag_index.loaders.csv_layout import CsvLayout, layout_of
from expertrag_index.loaders.csv_rows import rows_of
from expertrag_index.types import Document


def read(path: Path, content: str) -> list[str]:
    return [document.text for document in documents_of(path, content)]


def documents_of(path: Path, content: str) -> list[Document]:
    documents, failures = parsed(path, content)
    assert [failure for failure in failures if not failure.notice] == []
    return documents


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("# made by a tool, 2024\nname,price\nLamp,5\nTable,7\n",
         ["# made by a tool, 2024", "name: Lamp\nprice: 5", "name: Table\nprice: 7"]),
        ("Prices of 2024\n\nname;price;unit\nLamp;5;EUR\nTable;7;EUR\n",
         ["Prices of 2024", "name: Lamp\nprice: 5\nunit: EUR", "name: Table\nprice: 7\nunit: EUR"]),
        ('"mpg","cyl"\n"Mazda RX4",21,6\n"Datsun",22.8,4\n',  # as R writes mtcars
         ["column 1: Mazda RX4\nmpg: 21\ncyl: 6", "column 1: Datsun\nmpg: 22.8\ncyl: 4"]),
        ("a,b\n1,2,\n3,4,\n", ["a: 1\nb: 2", "a: 3\nb: 4"]),
        ("a,a,\n1,2,3\n", ["a: 1\na 2: 2\ncolumn 3: 3"]),
        (",a\n0,x\n1,y\n", ["column 1: 0\na: x", "column 1: 1\na: y"]),
        ("sep=;\na;b\n1,5;2\n", ["a: 1,5\nb: 2"]),
        ("1.5;2.5\n", ["1.5;2.5"]),
        ("id,text\n", ["id,text"]),
        ("Ann,7\nBob,9\n", ["column 1: Ann\ncolumn 2: 7", "column 1: Bob\ncolumn 2: 9"]),
        ("Ann,hr\nBob,hr\nCid,hr\n",
         [f"column 1: {each}\ncolumn 2: hr" for each in ("Ann", "Bob", "Cid")]),
        ("land,2019,2020\nEU,5,6\nUS,7,8\n",
         ["land: EU\n2019: 5\n2020: 6", "land: US\n2019: 7\n2020: 8"]),
        ("0,1\n5,6\n7,8\n", ["0: 5\n1: 6", "0: 7\n1: 8"]),
        ('a,b\n1,"x\n2,y\n3,z\n', ['1,"x', "a: 2\nb: y", "a: 3\nb: z"]),
        ('a,b\n1,"x" y\n2,5" disk\n', ['1,"x" y', 'a: 2\nb: 5" disk']),
        ('a,b\n1,"two\nlines, ""quoted"""\n2,z\n', ['a: 1\nb: two\nlines, "quoted"', "a: 2\nb: z"]),
        ("a,b\n1,x,y\n2,z\n", ["1,x,y", "a: 2\nb: z"]),
        ("a,b\n1,x\n# the end\n", ["a: 1\nb: x", "a: # the end"]),
        ("a\tb,c\n1\t2,5\n3\t4,5\n", ["a: 1\nb,c: 2,5", "a: 3\nb,c: 4,5"]),
        ("remark\nHello, world.\nBye\nSee you, all of you, soon.\n",
         ["remark: Hello, world.", "remark: Bye", "remark: See you, all of you, soon."]),
        ("a,b\r1,x\r2,y\r", ["a: 1\nb: x", "a: 2\nb: y"]),
    ],
)  # fmt: skip
def test_every_row_is_a_document(tmp_path: Path, content: str, texts: list[str]) -> None:
    assert read(tmp_path / "a.csv", content) == texts


def test_rows_that_do_not_fit_are_counted_in_one_notice(tmp_path: Path) -> None:
    _, (notice,) = parsed(tmp_path / "a.csv", "a,b\n" + "1,x\n" * 9 + "1,2,3\n" * 5)
    assert notice.reason == (
        "5 rows, the first row 10, cannot be split into 2 columns: kept as text"
    )


def test_lines_in_another_encoding_are_read(tmp_path: Path) -> None:
    """As in exports that were joined."""
    rows = "name,town\nAnna,München\n".encode(), "Bob,Köln\nEve,Zürich\n".encode("cp1252")
    documents, (notice,) = parsed(tmp_path / "a.csv", b"".join(rows))
    assert [document.text.split("town: ")[1] for document in documents] == [
        "München", "Köln", "Zürich",
    ]  # fmt: skip
    assert notice.notice and notice.reason == (
        "line 3 and 1 more: it is not UTF-8 and was read as CP1252"
    )


def test_a_line_in_two_encodings_loses_only_itself(tmp_path: Path) -> None:
    content = b"a,b\n1,x\n2,caf\xe9 na\xc3\xafve\n3,y\n"
    documents, (failure,) = parsed(tmp_path / "a.csv", content)
    assert [document.text for document in documents] == ["a: 1\nb: x", "a: 3\nb: y"]
    assert failure.reason.startswith("line 3: not valid UTF-8")


CELL = st.text('ab7 ,;|"\n.#', max_size=8)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(CELL, min_size=n, max_size=n), max_size=5)
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from(["", "A title\n", "# a comment, with a comma\n", "sep={}\n"]),
)
def test_each_cell_that_csv_writes_is_in_a_document(
    tmp_path: Path, rows: list[list[str]], delimiter: str, above: str
) -> None:
    written = io.StringIO()
    last = ["z"] * (len(rows[0]) if rows else 1)  # the name of a column without values is not kept
    csv.writer(written, delimiter=delimiter, lineterminator="\n").writerows([*rows, last])
    documents = documents_of(
        tmp_path / "a.csv", f"{above.format(delimiter)}x\n{written.getvalue()}"
    )
    texts = "\n".join(f"{document.title}\n{document.text}" for document in documents)
    texts += "\n".join(name for document in documents for name in document.metadata)
    words = {word for row in rows for cell in row for word in re.findall(r"\w+", cell)}
    assert {word for word in words if word not in texts} == set()


@given(st.lists(st.text('a,"\n', max_size=6).map(lambda line: line.replace("\n", "") + "\n")))
def test_each_line_is_in_one_row(lines: list[str]) -> None:
    rows = list(rows_of(lines, ",", 1000))
    assert "".join(f"{row.text}\n" for row in rows) == "".join(lines)


@given(st.lists(st.lists(CELL, min_size=2, max_size=3)))
def test_rows_are_those_of_the_csv_module(rows: list[list[str]]) -> None:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(rows)
    lines = written.getvalue().splitlines(keepends=True)
    assert [row.cells for row in rows_of(lines, ",", 1000)] == list(csv.reader(lines))


def test_the_layout_is_told_by_all_first_lines() -> None:
    lines = ["Export of 5, 6 and 7 May\n", "a;b\n", "1;2,5\n", "3;4,5\n"]
    assert layout_of(lines, 1000) == CsvLayout(";", 1, ("a", "b"), True)
    assert layout_of([], 1000).columns == ()


@pytest.mark.parametrize(
    "line", ['"a\n', 'a,"\n', '"""\n', '""x,"\n', "a,b\n", ",,,\n", '"\n"",\n', 'a","b\n']
)
def test_stray_quotes_take_linear_time(tmp_path: Path, line: str) -> None:
    started = time.process_time()
    parsed(tmp_path / "a.csv", 'a,b\n"x,' + line * (120_000 // len(line)))
    assert time.process_time() - started < 10


def test_numbers_with_a_decimal_comma_are_numbers(tmp_path: Path) -> None:
    content = "Tag;Menge;Betrag\n17.01.2025;9.700;8.879,11\n30.01.2025;850;39,5\n"
    first, second = documents_of(tmp_path / "bunker.csv", content)
    assert (first.metadata["Menge"], first.metadata["Betrag"]) == (9700, 8879.11)
    assert (second.metadata["Menge"], second.metadata["Betrag"]) == (850, 39.5)
    assert first.text == "Tag: 17.01.2025\nMenge: 9.700\nBetrag: 8.879,11"
    (english,) = documents_of(tmp_path / "en.csv", 'day;amount;price\n1;9.700;"8,879.11"\n')
    assert english.metadata["amount"] == 9.7
