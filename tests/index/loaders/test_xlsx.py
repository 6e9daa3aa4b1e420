"""Excel files: sheets are pages, rows are lines, hidden cells are left out."""

from __future__ import annotations

import datetime
import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from index.conftest import load_all, load_whole, zip_of
from openpyxl import Workbook

from expertrag_index.loaders import cells, xlsx
from expertrag_index.loaders.base import SourceFile, Unreadable
from expertrag_index.types import Document

LIMIT = 2**22


def book(*rows: list[Any], title: str = "Fees") -> Any:
    made = Workbook()
    made.active.title = title
    for row in rows:
        made.active.append(row)
    return made


def read(made: Any, tmp_path: Path) -> Document:
    path = tmp_path / "book.xlsx"
    made.save(str(path))
    (document,) = load_whole(path)
    return document


def test_each_sheet_is_a_page_and_each_row_a_line_under_the_names_of_its_columns(
    tmp_path: Path,
) -> None:
    made = book(["Ship", "Fee"], ["Tug", 120], [], ["Ferry", 0.1 + 0.2])
    made.properties.title, made.properties.creator = "Harbour fees", "A. Writer"
    made.create_sheet("Empty")
    made.create_sheet("Dates").append(["opened", datetime.date(2024, 5, 1), True])
    document = read(made, tmp_path)
    first, second, third = document.page_starts
    assert document.title == "Harbour fees"
    today = datetime.datetime.now(datetime.UTC).date().isoformat()  # openpyxl writes the time
    assert document.metadata == {"pages": 3, "author": "A. Writer", "modified": today}
    assert document.text[first:second] == (
        "# Fees\n\nShip | Fee\nShip: Tug | Fee: 120\nShip: Ferry | Fee: 0.3\n\n"
    )
    assert second == third
    assert document.text[third:] == "# Dates\n\nopened | 2024-05-01 | TRUE"


@pytest.mark.parametrize(
    "rows",
    [
        [["Fees of 2024"], ["Tug", 120]],
        [["a", "a"], ["b", "c"]],
        [[1, 2], ["b", "c"]],
        [["Ship", "Fee"], ["Tug", 120, "wider"]],
        [["Ship", "Fee"]],
    ],
    ids=["a caption", "names twice", "numbers", "a wider row", "nothing below"],
)
def test_a_first_row_that_names_no_columns_is_a_row(tmp_path: Path, rows: list[list[Any]]) -> None:
    assert ": " not in read(book(*rows), tmp_path).text


def test_values_are_read_and_formulas_without_one_are_told(tmp_path: Path) -> None:
    made = book(["Sum", "=1+1"])
    made.save(str(tmp_path / "book.xlsx"))
    (document,), (failure,) = load_all(tmp_path, limit=LIMIT)
    assert document.text == "# Fees\n\nSum"
    assert failure.notice
    assert failure.reason == "the value of 1 formulas is not stored in the file"
    stored = sheet_of('<row r="1"><c r="A1"><f>1+1</f><v>2</v></c></row>')
    (tmp_path / "book.xlsx").write_bytes(stored)
    (document,), failures = load_all(tmp_path, limit=LIMIT)
    assert (document.text, failures) == ("# Fees\n\n2", [])


def test_hidden_sheets_rows_and_columns_are_left_out(tmp_path: Path) -> None:
    made = book(
        ["a", "b", "c"], ["unseen", "unseen", "unseen"], ["d", "unseen", 7], ["e", "unseen", 8]
    )
    made.active.row_dimensions[2].hidden = True
    made.active.column_dimensions["B"].hidden = True
    made.create_sheet("Secret").append(["unseen"])
    made["Secret"].sheet_state = "veryHidden"
    made.save(str(tmp_path / "book.xlsx"))
    (document,), (failure,) = load_all(tmp_path, limit=LIMIT)
    assert document.text == "# Fees\n\na | c\na: d | c: 7\na: e | c: 8"
    assert list(document.page_starts) == [0, len(document.text)]
    assert failure.notice
    for kind in ("hidden sheet (1)", "hidden row (1)", "cell of a hidden column (3)"):
        assert kind in failure.reason


def sheet_of(rows: str, prologue: str = "") -> bytes:
    """A workbook with a sheet in its XML; tests write what no spreadsheet program would."""
    made = io.BytesIO()
    book(["x"]).save(made)
    with zipfile.ZipFile(made) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    parts["xl/worksheets/sheet1.xml"] = (
        f'{prologue}<worksheet xmlns="{space}"><sheetData>{rows}</sheetData></worksheet>'
    ).encode()
    return zip_of(parts)


def test_one_cell_far_away_costs_nothing(tmp_path: Path) -> None:
    far = '<row r="1048576"><c r="XFD1048576"><v>7</v></c></row>'
    (tmp_path / "book.xlsx").write_bytes(sheet_of(far))
    (document,), failures = load_all(tmp_path, limit=LIMIT)
    assert (document.text, failures) == ("# Fees\n\n7", [])


def test_too_many_cells_name_a_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cells, "MOST_CELLS", 3)
    path = tmp_path / "book.xlsx"
    book([1, 2], [3, 4]).save(str(path))
    file = SourceFile(path, "book.xlsx", "book.xlsx", None, LIMIT)
    with pytest.raises(Unreadable, match="more than 3 cells") as error:
        list(xlsx.read(file, lambda *_, **__: None))
    assert ".csv" in error.value.cure


def shared(*rows: list[str]) -> dict[str, bytes]:
    """The parts of a workbook whose strings are stored once, as spreadsheet programs do."""
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as written:
        sheet = written.add_worksheet("Fees")
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    with zipfile.ZipFile(made) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_shared_strings_are_read(tmp_path: Path) -> None:
    (tmp_path / "book.xlsx").write_bytes(
        zip_of(shared(["Ship", "Pilot", "Port"], ["Tug", "Ship", "North"]))
    )
    (document,), _ = load_all(tmp_path, limit=LIMIT)
    assert document.text == "# Fees\n\nShip | Pilot | Port\nShip: Tug | Pilot: Ship | Port: North"


def test_repeated_strings_are_bounded_by_the_size_of_the_text(tmp_path: Path) -> None:
    """A string is stored once, and a cell that shows it takes some twenty bytes."""
    parts = shared(["x" * 30_000])
    name, cell = "xl/worksheets/sheet1.xml", b'<c r="A1" t="s"><v>0</v></c>'
    assert cell in parts[name]
    parts[name] = parts[name].replace(cell, cell.replace(b' r="A1"', b"") * 1_000)
    (tmp_path / "book.xlsx").write_bytes(zip_of(parts))
    documents, (failure,) = load_all(tmp_path, limit=2**20)
    assert documents == []
    assert failure.reason.startswith("the text of the sheets is larger than")
