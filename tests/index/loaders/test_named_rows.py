"""Rows of tables have the names of their columns, in every format and with merged cells."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from docx import Document as open_docx
from index.loaders.office_files import read, saved, word_parts
from index.loaders.table_files import FORMATS, _saved, text_of
from openpyxl import Workbook
from openpyxl.styles import Font

from expertrag_index.loaders.cells import write_table
from expertrag_index.loaders.columns import TableCell, TableRow, header_of

LIMITS = [
    ["Country", "Daily rate", "Hotel limit"],
    ["Spain", "€50", "€170"],
    ["France", "€60", ""],
    ["", "€45", "€150"],
]
NAMED = """Country | Daily rate | Hotel limit
Country: Spain | Daily rate: €50 | Hotel limit: €170
Country: France | Daily rate: €60
Daily rate: €45 | Hotel limit: €150"""


def rows_of(*lines: str) -> list[TableRow]:
    """Rows as `A | B`; `A>` covers one column more for each sign, `^` goes on from above."""
    rows: list[TableRow] = []
    for line in lines:
        cells: list[TableCell] = []
        column = 0
        for text in line.split(" | "):
            width = 1 + len(text) - len(text.rstrip(">"))
            above = next((cell.text for cell in (rows or [[]])[-1] if cell.column == column), "")
            said = above if text == "^" else text.rstrip(">").strip()
            cells.append(TableCell(said, column, width, text == "^"))
            column += width
        rows.append(cells)
    return rows


@pytest.mark.parametrize(("name", "write"), FORMATS.values(), ids=FORMATS)
def test_a_row_has_the_names_of_its_columns(tmp_path: Path, name: str, write: Any) -> None:
    rows = LIMITS[:3] if write.__name__ == "rst" else LIMITS  # its rows begin in the first column
    text = text_of(tmp_path, name, write(rows))
    assert text.split("\n") == NAMED.split("\n")[: len(rows)]


TABLES = {
    "two rows of names": (
        ("Country | 2024> | 2025>", "^ | Q1 | Q2 | Q1 | Q2", "Spain | 1 | 2 | 3 | 4"),
        "Country: Spain | 2024 Q1: 1 | 2024 Q2: 2 | 2025 Q1: 3 | 2025 Q2: 4",
    ),
    "groups over names, no mark": (
        (" | 2024> | 2025>", "Country | Q1 | Q2 | Q1 | Q2", "Spain | 1 | 2 | 3 | 4"),
        "Country: Spain | 2024 Q1: 1 | 2024 Q2: 2 | 2025 Q1: 3 | 2025 Q2: 4",
    ),
    "a value over columns": (
        ("Port | Monday | Tuesday", "North | closed>", "South | 9 | 10"),
        "Port: North | Monday, Tuesday: closed",
    ),
    "a label over rows": (
        ("Port | Ship | Fee", "North | Tug | 120", "^ | Ferry | 90"),
        "Port: North | Ship: Ferry | Fee: 90",
    ),
    "a title over the table": (
        ("Fees of 2024>>", "Port | Ship | Fee", "North | Tug | 120"),
        "Port: North | Ship: Tug | Fee: 120",
    ),
    "a row over all columns": (("Port | Ship | Fee", "North | Tug | 120", "From May on>>"),
                               "From May on"),
    "labels without a name": ((" | Q1 | Q2", "North | 10 | 20"), "North | Q1: 10 | Q2: 20"),
    "years": (("Metric | 2023 | 2024", "Revenue | 1500 | 1700"),
              "Metric: Revenue | 2023: 1500 | 2024: 1700"),
    "two columns, one of numbers": (("Ship | Fee", "Tug | €120", "Ferry | €90"),
                                    "Ship: Ferry | Fee: €90"),
    "the header again": (("Port | Ship | Fee", "North | Tug | 120", "Port | Ship | Fee"),
                         "Port | Ship | Fee"),
}  # fmt: skip


@pytest.mark.parametrize(("lines", "row"), TABLES.values(), ids=TABLES)
def test_the_last_row_is_named(lines: tuple[str, ...], row: str) -> None:
    written = write_table(rows_of(*lines)).split("\n")
    assert written[0] == " | ".join(lines[0].replace(">", "").split(" | "))
    assert row in written


WITHOUT_HEADER = {
    "names and values": ("Owner | Finance", "Approver | CFO", "Contact | Maria"),
    "names and values of many kinds": ("Owner | Finance", "Version | 3.2", "Date | 2024-05-01"),
    "names with colons": ("Owner: | Finance | x", "Version: | 3.2 | y"),
    "values above values": ("Spain | EUR 50 | EUR 170", "France | EUR 60 | EUR 180"),
    "addresses": ("Ana | ana@example.org | Sales", "Bo | bo@example.org | Legal"),
    "a value again": ("Ana | Sales | Madrid", "Bo | Legal | Rome", "Eve | Sales | Oslo"),
    "names twice": ("Fee | Fee | Port", "1 | 2 | North"),
    "numbers": ("1 | 2 | 3", "4 | 5 | 6"),
    "a wider row": ("Ship | Fee", "Tug | 120 | 5", "Ferry | 90 | 4"),
    "nothing below": ("Port | Ship | Fee",),
    "names too long": (f"Port | Ship | {'x' * 101}", "North | Tug | 120"),
}


@pytest.mark.parametrize("lines", WITHOUT_HEADER.values(), ids=WITHOUT_HEADER)
def test_a_table_without_a_header_stays_as_it_is(lines: tuple[str, ...]) -> None:
    assert write_table(rows_of(*lines)).split("\n") == list(lines)


def test_two_columns_have_the_header_that_is_bold_or_marked() -> None:
    rows = rows_of("Role | Person", "Owner | Ana", "Deputy | Bo")
    named = "Role | Person\nRole: Owner | Person: Ana\nRole: Deputy | Person: Bo"
    assert write_table(rows, styled=[0]) == named
    assert write_table(rows, 1) == named
    assert write_table(rows, styled=[0, 1, 2]) == write_table(rows)
    assert ": " not in write_table(rows, 0)


def test_names_grow_a_table_to_three_times_its_length_at_most() -> None:
    """A table of 20,000 characters more is always named."""
    lines = ["Port of departure | Number of ships | Fee in euros", *["N | 1 | 2"] * 300]
    grown = write_table(rows_of(*lines))
    assert len(grown) > 3 * len("\n".join(lines))
    lines += ["N | 1 | 2"] * 900
    assert write_table(rows_of(*lines)) == "\n".join(lines)
    rich = ["Port | Ships | Fee", *["North harbour | twenty ships | nine euros"] * 4_000]
    assert "Port: North harbour | Ships: twenty ships" in write_table(rows_of(*rich))


def test_a_cell_over_a_hundred_million_columns_costs_nothing() -> None:
    started = time.process_time()
    wide = [
        [TableCell("All", 0, 100_000_000)],
        [TableCell("A", 0, 10**8), TableCell("B", 10**8, 10**8)],
    ]
    wide += [[TableCell("1", 0, 10**8), TableCell("2", 10**8, 10**8)] for _ in range(1_000)]
    assert write_table(wide, 2).split("\n")[-1] == "A: 1 | B: 2"
    rows = [[TableCell(f"{row} {at}", at, 10**8) for at in range(2_000)] for row in range(3)]
    assert header_of(rows, 1).end == 1
    assert time.process_time() - started < 2


def cell_of(text: str, properties: str = "", bold: bool = False) -> str:
    run = f"<w:r><w:rPr>{'<w:b/>' * bold}</w:rPr><w:t>{text}</w:t></w:r>"
    return f"<w:tc><w:tcPr>{properties}</w:tcPr><w:p>{run}</w:p></w:tc>"


def word_table(*rows: str, mark: str = "") -> str:
    first, *others = rows
    lines = [f"<w:tr><w:trPr>{mark}</w:trPr>{first}</w:tr>", *(f"<w:tr>{x}</w:tr>" for x in others)]
    return f"<w:tbl>{''.join(lines)}</w:tbl>"


HEADERS = {
    "marked": word_table(cell_of("Role") + cell_of("Person"), cell_of("Owner") + cell_of("Ana"),
                         mark="<w:tblHeader/>"),
    "bold": word_table(cell_of("Role", bold=True) + cell_of("Person", bold=True),
                       cell_of("Owner", bold=True) + cell_of("Ana")),
    "shaded": word_table(*(cell_of(one, shade) + cell_of(two, shade) for one, two, shade in (
        ("Role", "Person", '<w:shd w:val="clear" w:fill="DDDDDD"/>'), ("Owner", "Ana", "")))),
}  # fmt: skip


@pytest.mark.parametrize("table", HEADERS.values(), ids=HEADERS)
def test_headers_of_word(tmp_path: Path, table: str) -> None:
    text = read(tmp_path, "a.docx", word_parts(table))
    assert text == "Role | Person\nRole: Owner | Person: Ana"


def test_the_style_of_a_word_table_marks_its_header(tmp_path: Path) -> None:
    word: Any = open_docx()
    for style in ("Table Grid", "Light Grid Accent 1"):
        table = word.add_table(2, 3, style=style)
        for row, texts in zip(table.rows, (("Level", "1st", "2nd"), ("Fee", "3rd", "4th")),
                              strict=True):  # fmt: skip
            for cell, text in zip(row.cells, texts, strict=True):
                cell.text = text
    plain, named = read(tmp_path, "a.docx", saved(word)).split("\n\n")
    assert plain == "Level | 1st | 2nd\nFee | 3rd | 4th"
    assert named == "Level | 1st | 2nd\nLevel: Fee | 1st: 3rd | 2nd: 4th"


def test_merged_cells_of_word(tmp_path: Path) -> None:
    start, goes_on = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"
    table = word_table(
        cell_of("Country", start) + cell_of("2024", '<w:gridSpan w:val="2"/>'),
        cell_of("", goes_on) + cell_of("Q1") + cell_of("Q2"),
        cell_of("Spain") + cell_of("1") + cell_of("2"),
    )
    text = read(tmp_path, "a.docx", word_parts(table))
    assert text.split("\n")[-1] == "Country: Spain | 2024 Q1: 1 | 2024 Q2: 2"


def test_a_caption_stands_with_the_first_row(tmp_path: Path) -> None:
    caption = "<w:p><w:r><w:t>Table 3: Limits</w:t></w:r></w:p>"
    table = word_table(cell_of("Role") + cell_of("Person"), cell_of("Owner") + cell_of("Ana"))
    text = read(tmp_path, "a.docx", word_parts(f"{caption}{table}"))
    assert text == "Table 3: Limits\nRole | Person\nOwner | Ana"


PAGES = {
    "a second row of names": (
        "<tr><th rowspan=2>Country<th colspan=2>2024<tr><th>Q1<th>Q2<tr><td>Spain<td>1<td>2",
        "Country: Spain | 2024 Q1: 1 | 2024 Q2: 2",
    ),
    "names over names": (
        "<thead><tr><td><td>Q1<td>Q2</thead><tr><th>North<td>1<td>2",
        "North | Q1: 1 | Q2: 2",
    ),
    "a label over rows": (
        "<tr><th>Port<th>Ship<th>Fee<tr><td rowspan=2>North<td>Tug<td>1<tr><td>Ferry<td>2",
        "Port: North | Ship: Ferry | Fee: 2",
    ),
    "new names below": (
        "<tr><th>Port<th>Fee<tr><td>North<td>1<tr><th>Ship<th>Crew<tr><td>Tug<td>4",
        "Ship: Tug | Crew: 4",
    ),
    "empty cells": ("<tr><th>Port<th>Ship<th>Fee<tr><td><td>Tug<td>", "Ship: Tug"),
    "bold": (
        "<tr><td><b>Role</b><td><b>Person</b><tr><td>Owner<td>Ana",
        "Role: Owner | Person: Ana",
    ),
    "numbers": (
        "<tr><td>Ship<td>Fee<tr><td>Tug<td>120<tr><td>Ferry<td>90",
        "Ship: Ferry | Fee: 90",
    ),
    "a sign as a name": ("<tr><th>#<th># of ships<tr><td><td>2", "# of ships: 2"),
}


@pytest.mark.parametrize(("page", "row"), PAGES.values(), ids=PAGES)
def test_tables_of_pages(tmp_path: Path, page: str, row: str) -> None:
    (tmp_path / "a.html").write_text(f"<table>{page}</table>", "utf-8")
    assert (
        text_of(tmp_path, "a.html", f"<table>{page}</table>".encode()).split("\n")[-1].strip()
        == row.strip()
    )


@pytest.mark.parametrize(
    "page",
    [
        "<tr><th>Owner<td>Finance<tr><th>Version<td>3.2<tr><th>Pages<td>12",
        "<tr><td>Home<td>About us<td>Contact<tr><td>News<td>Jobs<td>Press",
        "<tr><td rowspan=2><img alt='[Note]'><th>Note<tr><td>Close the valve.",
        "<tr><td><p>Menu</p><p>Search</p><td>Body<tr><td>Left<td>Right",
    ],
    ids=["names and values", "navigation", "a note", "layout"],
)
def test_layout_and_pairs_of_pages_have_no_names(tmp_path: Path, page: str) -> None:
    assert ": " not in text_of(tmp_path, "a.html", f"<table>{page}</table>".encode())


def test_tables_that_other_forms_of_markdown_hold(tmp_path: Path) -> None:
    item = b"- Limits:\n\n  Port | `a|b`\n  ---|:-:\n  North | x \\| y\n\n"
    quote = b"> | A | B |\n> |---|---|\n> | 1 |"
    assert text_of(tmp_path, "a.md", item + quote) == (
        "- Limits:\n  Port | `a|b`\n  Port: North | `a|b`: x | y\n\n> A | B\n> A: 1"
    )
    assert text_of(tmp_path, "a.md", b"a | b\nc | d") == "a | b\nc | d"


def test_a_grid_with_cells_over_columns_and_lines(tmp_path: Path) -> None:
    table = """
+-------+-----------+
| Port  | 2024      |
|       +-----+-----+
"""
    assert "Port  | 2024" in text_of(tmp_path, "a.rst", table.encode())
    table = """
+-------+-----+-----+
| Port  | Q1  | Q2  |
+=======+=====+=====+
| North | 1   | two |
| Sea   |     | and |
+-------+-----+-----+
| South | closed    |
+-------+-----------+
"""
    assert text_of(tmp_path, "a.rst", table.encode()) == (
        "Port | Q1 | Q2\nPort: North Sea | Q1: 1 | Q2: two and\nPort: South | Q1, Q2: closed"
    )


def test_the_header_of_a_sheet_is_below_its_title_and_over_merged_cells(tmp_path: Path) -> None:
    book: Any = Workbook()
    sheet = book.active
    for row in (["Fees of the port"], ["Port", "2024", None], [None, "Q1", "Q2"], ["North", 1, 2]):
        sheet.append(row)
    sheet.merge_cells("B2:C2")
    sheet.merge_cells("A2:A3")
    text = text_of(tmp_path, "a.xlsx", _saved(book))
    assert text.split("\n")[-1] == "Port: North | 2024 Q1: 1 | 2024 Q2: 2"


@pytest.mark.parametrize("how", ["plain", "bold", "frozen", "filter", "table"])
def test_what_sets_the_header_of_a_sheet_apart(tmp_path: Path, how: str) -> None:
    book: Any = Workbook()
    sheet = book.active
    for row in (["Role", "Person"], ["Owner", "Ana"], ["Deputy", "Bo"]):
        sheet.append(row)
    if how == "bold":
        for cell in sheet[1]:
            cell.font = Font(bold=True)
    elif how == "frozen":
        sheet.freeze_panes = "A2"
    elif how == "filter":
        sheet.auto_filter.ref = "A1:B3"
    elif how == "table":
        from openpyxl.worksheet.table import Table

        sheet.add_table(Table(displayName="People", ref="A1:B3"))
    last = text_of(tmp_path, "a.xlsx", _saved(book)).split("\n")[-1]
    assert last == ("Deputy | Bo" if how == "plain" else "Role: Deputy | Person: Bo")
