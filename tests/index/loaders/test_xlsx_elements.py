"""What a spreadsheet program shows of a workbook is read, as it shows it."""

from __future__ import annotations

import datetime
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from index.loaders.office_files import (
    OFFICE,
    Parts,
    parsed,
    parts_of,
    read,
    related,
    with_relations,
)
from index.loaders.test_xlsx import shared, sheet_of

from expertrag_index.loaders.number_formats import format_number, format_text

SHEET = "xl/worksheets/sheet1.xml"


def written(write: Callable[[Any, Any], None]) -> Parts:
    """A workbook whose only sheet, called Fees, a function writes."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as book:
        write(book, book.add_worksheet("Fees"))
    return parts_of(made.getvalue())


FORMATS = [
    (0.155, "0.0%", "15.5%"), (42, "00000", "00042"), (1234567.891, "#,##0.00", "1,234,567.89"),
    (-5.5, "0.00", "-5.50"), (-5.5, "#,##0_);(#,##0)", "(6)"), (0.125, "0.00", "0.13"),
    (45413, "dd/mm/yyyy", "2024-05-01"), (45413.75, "m/d/yy h:mm AM/PM", "2024-05-01 6:00 PM"),
    (45413, "mmm yy", "May 24"), (45413, "dddd, d mmmm", "Wednesday, 1 May"),
    (1.25, "[h]:mm", "30:00"),
    (0.5, "hh:mm:ss.00", "12:00:00.00"), (59, "yyyy-mm-dd", "1900-02-28"), (1.5, "# ?/?", "1 1/2"),
    (0.3333, "?/?", "1/3"), (12345678, "0.00E+00", "1.23E+07"),
    (5551234567, "(000) 000-0000", "(555) 123-4567"),
    (1234567, '#,##0,"K"', "1,235K"), (7, '"Q"0', "Q7"), (3, '[>=10]"big";"small"', "small"),
    (12.5, "[$€-407] #,##0.00", "€ 12.50"), (0, "0;-0;;@", ""), (0.1 + 0.2, "General", "0.3"),
    (5, 'General" items"', "5 items"), (2.5, "0.0##", "2.5"), (1e300, "0", "1e+300"),
    (-0.001, "0.00", "0.00"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "code", "text"), FORMATS)
def test_numbers_are_written_as_they_are_shown(value: float, code: str, text: str) -> None:
    assert format_number(value, code) == text


@pytest.mark.parametrize(
    "code", ["", ";", ";;;;;", "[", '"', "\\", "E+", "/", "#/", "[h", "0" * 900, "y" * 400]
)
@pytest.mark.parametrize("value", [0.0, -1.5, 1e308, 5e-324, 2_958_466])
def test_no_format_refuses_a_number(code: str, value: float) -> None:
    assert isinstance(format_number(value, code), str)


def test_formats_of_texts() -> None:
    assert [format_text("a", code) for code in ("General", "@", '0;0;0;"<"@">"', ";;;")] == [
        "a",
        "a",
        "<a>",
        "",
    ]


def test_cells_are_written_in_their_format(tmp_path: Path) -> None:
    def write(book: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["Port", "Share", "Code", "Opened", "Open"])
        sheet.write(1, 0, "North")
        sheet.write(1, 1, 0.155, book.add_format({"num_format": "0.0%"}))
        sheet.write(1, 2, 42, book.add_format({"num_format": "00000"}))
        day = book.add_format({"num_format": "d mmm yyyy"})
        sheet.write_datetime(1, 3, datetime.datetime(2024, 5, 1), day)
        sheet.write(1, 4, True)

    text = read(tmp_path, "a.xlsx", written(write))
    assert text.endswith(
        "Port: North | Share: 15.5% | Code: 00042 | Opened: 1 May 2024 | Open: TRUE"
    )


def test_days_of_a_book_that_counts_from_1904(tmp_path: Path) -> None:
    made = io.BytesIO()
    with xlsxwriter.Workbook(
        made, {"date_1904": True, "default_date_format": "yyyy-mm-dd"}
    ) as book:
        book.add_worksheet("Fees").write_datetime(0, 0, datetime.datetime(2024, 5, 1))
    assert read(tmp_path, "a.xlsx", parts_of(made.getvalue())) == "# Fees\n\n2024-05-01"


def test_comments_text_boxes_pictures_and_charts_follow_the_rows(tmp_path: Path) -> None:
    def write(book: Any, sheet: Any) -> None:
        sheet.write_column(0, 0, ["North", "South"])
        sheet.write_comment("A1", "Since May", {"author": "A"})
        sheet.write_comment("C9", "Nothing yet")
        sheet.insert_textbox(4, 4, "Pay at the office", {"description": "A note"})
        chart = book.add_chart({"type": "radar"})
        chart.add_series({"name": "Ships", "values": "=Fees!$A$1:$A$2"})
        chart.set_title({"name": "Traffic"})
        sheet.insert_chart("E9", chart, {"description": "Ships by port"})
        sheet.set_header('&L&"Arial,Bold"&14Contract 47-11&RPage &P of &N')

    assert read(tmp_path, "a.xlsx", written(write)).split("\n")[2:] == [
        "North", "Comment on A1: Since May", "South", "Comment on C9: Nothing yet",
        "[Image: Ships by port]", "Traffic", "Ships", "Pay at the office", "[Image: A note]",
        "Contract 47-11 Page of",
    ]  # fmt: skip


@pytest.mark.parametrize("is_hidden", [False, True])
def test_the_numbers_of_a_chart_are_written_if_their_sheet_is_hidden(
    tmp_path: Path, is_hidden: bool
) -> None:
    def write(book: Any, sheet: Any) -> None:
        data = book.add_worksheet("It's data")
        data.write_column(0, 0, [4101, 4255])
        if is_hidden:
            data.hide()
        chart = book.add_chart({"type": "column"})
        chart.add_series({"values": ["It's data", 0, 0, 1, 0]})
        sheet.insert_chart("A1", chart)
        sheet.write(0, 0, "Traffic")

    parts = written(write)
    cache = b"<c:numCache><c:pt idx='0'><c:v>4101</c:v></c:pt></c:numCache></c:numRef>"
    (name,) = [name for name in parts if name.startswith("xl/charts/")]
    parts[name] = re.sub(rb"(<c:numCache>.*)?</c:numRef>", cache, parts[name], flags=re.S)
    assert read(tmp_path, "a.xlsx", parts).count("4101") == 1


def test_a_thread_of_comments_is_written_once(tmp_path: Path) -> None:
    space = "http://schemas.microsoft.com/office/spreadsheetml/2018/threadedcomments"
    thread = f'<t xmlns="{space}"><threadedComment ref="A1"><text>Why?</text></threadedComment></t>'
    main = f"{OFFICE}/spreadsheetml/2006/main"
    comment = '<comment ref="A1"><text><t>[Old]</t></text></comment>'
    old = f'<comments xmlns="{main}">{comment}</comments>'
    parts = shared(["Fee"]) | {
        "xl/threaded1.xml": thread.encode(),
        "xl/comments1.xml": old.encode(),
    }
    links = (
        related("threadedComment", "../threaded1.xml", 1),
        related("comments", "../comments1.xml", 2),
    )
    assert (
        read(tmp_path, "a.xlsx", with_relations(parts, SHEET, *links))
        == "# Fees\n\nFee\nComment on A1: Why?"
    )


def test_a_label_over_rows_is_in_each_of_them(tmp_path: Path) -> None:
    def write(_: Any, sheet: Any) -> None:
        sheet.write_row(0, 0, ["Port", "Ship", "Fee"])
        sheet.merge_range("A2:A3", "North")
        sheet.write_row(1, 1, ["Tug", 120])
        sheet.write_row(2, 1, ["Ferry", 90])

    lines = read(tmp_path, "a.xlsx", written(write)).split("\n")[3:]
    assert lines == ["Port: North | Ship: Tug | Fee: 120", "Port: North | Ship: Ferry | Fee: 90"]


def test_merged_cells_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("expertrag_index.loaders.cells.MOST_CELLS", 1_000)
    rows = "".join(f'<row r="{at}"><c r="A{at}"><v>7</v></c></row>' for at in range(1, 100))
    merged = '<mergeCell ref="A1:A99"/>' * 50
    parts = parts_of(sheet_of(rows))
    end = b"</sheetData>"
    parts[SHEET] = parts[SHEET].replace(end, end + f"<mergeCells>{merged}</mergeCells>".encode())
    text, (failure,) = parsed(tmp_path, "a.xlsx", parts)
    assert (text, failure.reason) == ("", "it has more than 1,000 cells")


def test_collapsed_and_filtered_rows_are_read(tmp_path: Path) -> None:
    """As in a table of Apache POI's `ConditionalFormattingSamples.xlsx`."""

    def write(_: Any, sheet: Any) -> None:
        sheet.write_column(0, 0, ["Port", "filtered", "shown", "collapsed"])
        sheet.write(0, 1, "in a collapsed column")
        sheet.autofilter("A1:A3")
        sheet.filter_column("A", "x == shown")
        sheet.set_row(1, options={"hidden": True})
        sheet.set_row(3, options={"hidden": True, "level": 1})
        sheet.set_column("B:B", None, None, {"hidden": True, "level": 1})

    text = read(tmp_path, "a.xlsx", written(write))
    for word in ("filtered", "shown", "collapsed", "in a collapsed column"):
        assert word in text


def test_rows_that_the_filter_of_a_table_hides_are_read(tmp_path: Path) -> None:
    def write(_: Any, sheet: Any) -> None:
        sheet.add_table(
            "A1:A3", {"columns": [{"header": "Port"}], "data": [["filtered"], ["shown"]]}
        )
        sheet.set_row(1, options={"hidden": True})

    parts = written(write)
    table = "xl/tables/table1.xml"
    parts[table] = parts[table].replace(
        b'<autoFilter ref="A1:A3"/>',
        b'<autoFilter ref="A1:A3"><filterColumn colId="0"/></autoFilter>',
    )
    assert "filtered" in read(tmp_path, "a.xlsx", parts)


def test_rows_that_are_hidden_by_hand_are_left_out(tmp_path: Path) -> None:
    """As row 7 of `Regional sales3` in the same file of Apache POI, "South", which is not shown."""

    def write(_: Any, sheet: Any) -> None:
        sheet.write_column(0, 0, ["North", "South"])
        sheet.set_row(1, options={"hidden": True})

    text, (failure,) = parsed(tmp_path, "a.xlsx", written(write))
    assert (text, failure.reason) == ("# Fees\n\nNorth", "hidden text is left out: hidden row (1)")
