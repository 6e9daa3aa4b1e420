"""Tables of PDF files: ruled, aligned, over pages, with merged cells; other text stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from index.conftest import load_whole

Rows = Sequence[Sequence[str]]

LIMITS = [
    ["Country", "Daily rate", "Hotel limit"],
    ["Spain", "50 EUR", "170 EUR"],
    ["France", "60 EUR", "180 EUR"],
    ["Poland", "40 EUR", "120 EUR"],
]
PARTS = [["Item", "Price", "Stock"], *([f"Part {n}", f"{n}.50", str(n * 7)] for n in range(1, 60))]
ABOVE = "The limits below hold for all trips that begin after the first of May."
BELOW = "Whoever spends more asks the head of the department before the trip."


def named(rows: Rows) -> list[str]:
    return [
        " | ".join(f"{name}: {text}" for name, text in zip(rows[0], row, strict=True))
        for row in rows[1:]
    ]


def pdf(write: Callable[[Any], None]) -> bytes:
    made = FPDF()
    made.add_page()
    made.set_font("Helvetica", size=11)
    made.cell(text=ABOVE, new_x="LMARGIN", new_y="NEXT")
    made.ln(4)
    write(made)
    made.ln(4)
    made.cell(text=BELOW)
    return bytes(made.output())


def table(rows: Rows, **how: Any) -> bytes:
    def write(made: Any) -> None:
        with made.table(**how) as of:
            for texts in rows:
                row = of.row()
                for text in texts:
                    row.cell(text)

    return pdf(write)


def lines_of(tmp_path: Path, content: bytes) -> list[str]:
    (tmp_path / "a.pdf").write_bytes(content)
    (document,) = load_whole(tmp_path / "a.pdf")
    return document.text.split("\n")


HOW: dict[str, dict[str, Any]] = {
    "ruled": {},
    "numbers to the right": {"text_align": ("LEFT", "RIGHT", "RIGHT")},
    "a header like the rows": {"first_row_as_headings": False},
    "level lines": {"borders_layout": TableBordersLayout.HORIZONTAL_LINES},
    "inner lines": {"borders_layout": TableBordersLayout.INTERNAL},
    "no lines": {"borders_layout": TableBordersLayout.NONE},
    "shaded rows": {
        "borders_layout": TableBordersLayout.NONE,
        "cell_fill_color": (220, 220, 220),
        "cell_fill_mode": "ROWS",
    },
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
def test_rows_have_the_names_of_their_columns(tmp_path: Path, how: dict[str, Any]) -> None:
    lines = lines_of(tmp_path, table(LIMITS, **how))
    assert lines == [ABOVE, " | ".join(LIMITS[0]), *named(LIMITS), BELOW]


@pytest.mark.parametrize("repeated", [0, 1], ids=["named once", "named on each page"])
@pytest.mark.parametrize("borders", ["ALL", "NONE"])
def test_a_table_over_pages(tmp_path: Path, repeated: int, borders: str) -> None:
    how = {"repeat_headings": repeated, "borders_layout": borders}
    lines = lines_of(tmp_path, table(PARTS, **how))
    assert set(named(PARTS)) <= set(lines)
    assert lines.count("Item | Price | Stock") == 1 + repeated


def test_lines_of_a_cell_are_one_row(tmp_path: Path) -> None:
    duty = "Keeps the accounts of the company and pays the bills that the board has agreed to."
    rows = [["Role", "Duty", "Deputy"], ["Treasurer", duty, "Ana"], ["Secretary", duty, "Bo"]]
    assert lines_of(tmp_path, table(rows))[1:-1] == ["Role | Duty | Deputy", *named(rows)]


def test_merged_cells(tmp_path: Path) -> None:
    def write(made: Any) -> None:
        with made.table(num_heading_rows=2) as of:
            first = of.row()
            first.cell("Country", rowspan=2)
            first.cell("2024", colspan=2)
            for texts in (("Q1", "Q2"), ("Spain", "1", "2")):
                row = of.row()
                for text in texts:
                    row.cell(text)
            last = of.row()
            last.cell("France")
            last.cell("closed", colspan=2)

    assert lines_of(tmp_path, pdf(write))[-3:-1] == [
        "Country: Spain | 2024 Q1: 1 | 2024 Q2: 2",
        "Country: France | 2024 Q1, 2024 Q2: closed",
    ]


def columns(made: Any) -> None:
    for number in range(6):
        made.set_xy(20, 60 + 6 * number)
        made.cell(text=f"Left line {number} of prose that goes on")
    for number in range(6):
        made.set_xy(120, 60 + 6 * number)
        made.cell(text=f"Right line {number} of 2024 and more")


def contents(made: Any) -> None:
    for number, title in enumerate(("Scope", "Terms", "Fees", "Annex")):
        made.cell(80, 6, f"{number + 1} {title}")
        made.cell(20, 6, str(3 + 4 * number), align="R")
        made.ln(6)


def boxes(made: Any) -> None:
    for text in ("A frame around words.", "And a frame below it."):
        made.cell(120, 8, text, border=1, new_x="LMARGIN", new_y="NEXT")


@pytest.mark.parametrize("write", [columns, contents, boxes])
def test_other_text_is_as_the_text_layer_has_it(
    tmp_path: Path, write: Callable[[Any], None]
) -> None:
    content = pdf(write)
    with pypdfium2.PdfDocument(content) as book:
        text = book[0].get_textpage().get_text_range().replace("\r\n", "\n")
    assert lines_of(tmp_path, content) == [line.rstrip() for line in text.strip().split("\n")]


def test_a_page_of_lines_takes_little_time(tmp_path: Path) -> None:
    def write(made: Any) -> None:
        for number in range(95):
            made.line(20, 20 + number * 2.5, 190, 20 + number * 2.5)
            made.line(20 + number * 1.75, 20, 20 + number * 1.75, 250)

    started = time.process_time()
    assert lines_of(tmp_path, pdf(write))[-1] == BELOW
    assert time.process_time() - started < 3
