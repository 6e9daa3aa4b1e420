"""Strict files are read, and a damaged part of an Office file refuses nothing but itself."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from docx import Document as open_docx
from index.loaders.office_files import Parts, parsed, parts_of, read, saved, strict
from index.loaders.test_pptx import BOX, deck, slide
from openpyxl import Workbook
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE

GARBAGE = b"\x00\xff garbage <<"


def word() -> Parts:
    made: Any = open_docx()
    made.add_heading("WordHeading", 1)
    made.add_paragraph("WordBody")
    made.add_paragraph("WordItem", style="List Number")
    made.add_table(1, 1).rows[0].cells[0].text = "WordCell"
    made.sections[0].header.paragraphs[0].text = "WordHeader"
    made.sections[0].footer.paragraphs[0].text = "WordFooter"
    made.add_comment(made.paragraphs[1].runs, "WordComment")
    made.core_properties.title = "WordTitle"
    return saved(made)


def powerpoint() -> Parts:
    made = deck()
    first = slide(made, "SlideTitle", "SlideBody")
    first.notes_slide.notes_text_frame.text = "SlideNotes"
    numbers: Any = CategoryChartData()
    numbers.categories = ["SlideCategory"]
    numbers.add_series("SlideSeries", (1,))
    slide(made, "SecondTitle").shapes.add_chart(XL_CHART_TYPE.PIE, *BOX, numbers)
    slide(made, "ThirdTitle", "ThirdBody")
    return saved(made)


def excel() -> Parts:
    made = io.BytesIO()
    with xlsxwriter.Workbook(made) as book:
        first, second = book.add_worksheet("FirstSheet"), book.add_worksheet("SecondSheet")
        first.write_column(0, 0, ["FirstCell", 17])
        first.write_comment("A1", "FirstComment")
        first.insert_textbox(3, 3, "FirstBox")
        chart = book.add_chart({"type": "line"})
        chart.add_series({"name": "SeriesName", "values": "=FirstSheet!$A$2"})
        second.insert_chart("B9", chart)
        second.write(0, 0, 4711.5)
    return parts_of(made.getvalue())


def inline_excel() -> Parts:
    made: Any = Workbook(write_only=True)
    for name in ("OneSheet", "OtherSheet"):
        made.create_sheet(name).append([f"{name}Cell"])
    return saved(made)


FILES: dict[str, Callable[[], Parts]] = {
    "a.docx": word,
    "a.pptx": powerpoint,
    "a.xlsx": excel,
    "b.xlsx": inline_excel,
}
LOST = {
    "word/document.xml": "Word",
    "word/header1.xml": "WordHeader",
    "word/footer1.xml": "WordFooter",
    "word/comments.xml": "WordComment",
    "word/_rels/document.xml.rels": "WordHeader WordFooter",
    "ppt/slides/slide1.xml": "SlideTitle SlideBody SlideNotes",
    "ppt/slides/slide2.xml": "SecondTitle SlideCategory SlideSeries",
    "ppt/slides/slide3.xml": "ThirdTitle ThirdBody",
    "ppt/slides/_rels/slide1.xml.rels": "SlideNotes",
    "ppt/slides/_rels/slide2.xml.rels": "SlideCategory SlideSeries",
    "ppt/notesSlides/notesSlide1.xml": "SlideNotes",
    "ppt/charts/": "SlideCategory SlideSeries",
    "xl/workbook.xml": "FirstSheet SecondSheet OneSheet OtherSheet",
    "xl/_rels/workbook.xml.rels": "FirstSheet SecondSheet OneSheet OtherSheet",
    "xl/sharedStrings.xml": "FirstCell",
    "xl/worksheets/sheet1.xml": "FirstSheet FirstCell 17 OneSheet OneSheetCell",
    "xl/worksheets/sheet2.xml": "SecondSheet 4711.5 OtherSheet OtherSheetCell",
    "xl/worksheets/_rels/sheet1.xml.rels": "FirstComment FirstBox",
    "xl/worksheets/_rels/sheet2.xml.rels": "SeriesName",
    "xl/comments1.xml": "FirstComment",
    "xl/drawings/drawing1.xml": "FirstBox",
    "xl/drawings/drawing2.xml": "SeriesName",
    "xl/drawings/_rels/drawing2.xml.rels": "SeriesName",
    "xl/charts/": "SeriesName",
}
"""The words that a damaged part may lose: its own, and those of what only it refers to."""


def words_of(text: str) -> set[str]:
    """The words that stand once in a file: two words in one, or a number."""
    return set(re.findall(r"[A-Z][a-z]+[A-Z][a-z]+(?:[A-Z][a-z]+)?|17|4711.5", text))


@pytest.mark.parametrize("name", FILES)
def test_each_part_replaced_by_garbage_loses_its_own_words_only(tmp_path: Path, name: str) -> None:
    parts = FILES[name]()
    whole = words_of(read(tmp_path, name, parts))
    assert len(whole) > 3
    for part in parts:
        text, failures = parsed(tmp_path, name, parts | {part: GARBAGE})
        lost = next((words for start, words in LOST.items() if part.startswith(start)), "")
        missing = whole - words_of(text)
        allowed = {word for word in whole if any(word.startswith(own) for own in lost.split())}
        assert missing <= allowed, part
        if missing:
            assert any(part in failure.reason for failure in failures), part


@pytest.mark.parametrize("name", FILES)
def test_the_beginning_of_a_part_that_is_cut_off_is_read(tmp_path: Path, name: str) -> None:
    parts = FILES[name]()
    main = {"docx": "word/document.xml", "pptx": "ppt/slides/slide1.xml"}
    part = main.get(name[2:], "xl/worksheets/sheet1.xml")
    cut = parts[part].rindex(b"</", 0, len(parts[part]) * 3 // 4)
    text, failures = parsed(tmp_path, name, parts | {part: parts[part][:cut]})
    assert text
    assert any(part in failure.reason for failure in failures)


@pytest.mark.parametrize("name", FILES)
def test_a_strict_file_is_read_as_any(tmp_path: Path, name: str) -> None:
    parts = FILES[name]()
    assert strict(parts) != parts
    assert read(tmp_path, f"strict-{name}", strict(parts)) == read(tmp_path, name, parts)


@pytest.mark.parametrize("name", FILES)
def test_parts_are_found_by_names_in_another_case(tmp_path: Path, name: str) -> None:
    parts = FILES[name]()
    other = {
        part.replace("/", "\\").upper() if "rels" not in part else part: data
        for part, data in parts.items()
    }
    assert read(tmp_path, f"other-{name}", other) == read(tmp_path, name, parts)


OTHER_NAMES = {
    "a.docx": (".docm", ".dotm", ".dotx"),
    "a.pptx": (".pptm", ".ppsx", ".potx"),
    "a.xlsx": (".xlsm", ".xltx"),
}


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_templates_and_files_with_macros_are_read(tmp_path: Path, name: str) -> None:
    parts = FILES[name]()
    for suffix in OTHER_NAMES[name]:
        assert read(tmp_path, f"a{suffix}", parts) == read(tmp_path, name, parts)
