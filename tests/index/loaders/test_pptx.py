"""PowerPoint files: slides are pages, and what a slide does not show is left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from index.conftest import load_all, load_whole
from pptx import Presentation
from pptx.chart.data import CategoryChartData
from pptx.dml.color import RGBColor
from pptx.enum.chart import XL_CHART_TYPE
from pptx.enum.shapes import MSO_SHAPE
from pptx.util import Inches, Pt

from expertrag_index.types import Document

BOX = (Inches(1), Inches(2), Inches(6), Inches(3))
LIMIT = 2**22


def deck() -> Any:
    made = Presentation()
    made.core_properties.author = "A. Writer"
    return made


def slide(made: Any, title: str, text: str = "") -> Any:
    added = made.slides.add_slide(made.slide_layouts[1])
    added.shapes.title.text = title
    added.placeholders[1].text = text
    return added


def read(made: Any, tmp_path: Path) -> Document:
    path = tmp_path / "deck.pptx"
    made.save(str(path))
    (document,) = load_whole(path)
    return document


def test_each_slide_is_a_page_with_its_table_chart_and_notes(tmp_path: Path) -> None:
    made = deck()
    first = slide(made, "Harbour plan", "Dredging starts in May.")
    first.notes_slide.notes_text_frame.text = "Ask about the pilot boats."
    second = slide(made, "Fees")
    table = second.shapes.add_table(3, 2, *BOX).table
    cells = (("Ship", "Fee"), ("Tug", "120"), ("Ferry", "90"))
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    third = slide(made, "Traffic")
    numbers = CategoryChartData()
    numbers.categories = ["2023", "2024"]
    numbers.add_series("Ships", (410, 425.5))
    third.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *BOX, numbers)
    document = read(made, tmp_path)
    one, two, three = document.page_starts
    assert document.title == "Harbour plan"
    assert document.metadata == {"pages": 3, "author": "A. Writer"}
    assert document.text[one:two] == (
        "# Harbour plan\n\nDredging starts in May.\n\nNotes: Ask about the pilot boats.\n\n"
    )
    assert (
        document.text[two:three]
        == "# Fees\n\nShip | Fee\nShip: Tug | Fee: 120\nShip: Ferry | Fee: 90\n\n"
    )
    assert "Ships\n2023 | Ships: 410\n2024 | Ships: 425.5" in document.text[three:]


def test_groups_levels_and_merged_cells_are_read(tmp_path: Path) -> None:
    made = deck()
    only = slide(made, "Crew", "Bridge")
    item = only.placeholders[1].text_frame.add_paragraph()
    item.text, item.level = "Two officers", 1
    group = only.shapes.add_group_shape().shapes.add_group_shape()
    group.shapes.add_textbox(*BOX).text_frame.text = "Inside two groups"
    table = only.shapes.add_table(2, 3, *BOX).table
    table.cell(0, 0).text, table.cell(0, 2).text = "Wide", "Right"
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 0).text = "Low"
    text = read(made, tmp_path).text
    assert "Bridge\n- Two officers" in text
    assert "Inside two groups" in text
    assert "Wide | Right\nWide: Low" in text


def test_a_cell_over_rows_is_in_each(tmp_path: Path) -> None:
    made = deck()
    table = slide(made, "Berths").shapes.add_table(2, 2, *BOX).table
    table.cell(0, 0).text, table.cell(0, 1).text, table.cell(1, 1).text = "North", "A", "B"
    table.cell(0, 0).merge(table.cell(1, 0))
    assert "North | A\nNorth | B" in read(made, tmp_path).text


def box(on: Any, text: str) -> Any:
    run = on.shapes.add_textbox(*BOX).text_frame.paragraphs[0].add_run()
    run.text = text
    return run


def test_what_a_slide_does_not_show_is_left_out_and_told(tmp_path: Path) -> None:
    made = deck()
    shown = slide(made, "Shown")
    slide(made, "Unseen slide")._element.set("show", "0")
    slide(made, "Last")
    unseen = box(shown, "Unseen shape")
    unseen._r.getparent().getparent().getparent()[0][0].set("hidden", "1")
    outside = shown.shapes.add_textbox(-Inches(9), 0, Inches(2), Inches(1))
    outside.text_frame.text = "Unseen outside"
    box(shown, "Unseen tiny").font.size = Pt(1)
    box(shown, "Unseen white").font.color.rgb = RGBColor(255, 255, 255)
    path = tmp_path / "deck.pptx"
    made.save(str(path))
    (document,), (failure,) = load_all(path, limit=LIMIT)
    assert document.text == "# Shown\n\n# Last"
    assert list(document.page_starts) == [0, 9, 9]  # the hidden slide still counts as a page
    assert failure.notice
    for kind in ("hidden slide", "hidden", "outside the slide", "font size 1"):
        assert f"{kind} (1)" in failure.reason
    assert "colour of the background (1)" in failure.reason


def test_white_text_on_a_colour_is_kept_and_text_in_the_colour_of_its_shape_is_not(
    tmp_path: Path,
) -> None:
    made = deck()
    only = slide(made, "Colours")
    for text, color in (("Kept", (255, 255, 255)), ("Unseen", (0, 51, 102))):
        shape = only.shapes.add_shape(MSO_SHAPE.RECTANGLE, *BOX)
        shape.fill.solid()
        shape.fill.fore_color.rgb = RGBColor(0, 51, 102)
        run = shape.text_frame.paragraphs[0].add_run()
        run.text, run.font.color.rgb = text, RGBColor(*color)
    box(only, "Kept over a shape").font.color.rgb = RGBColor(255, 255, 255)
    path = tmp_path / "deck.pptx"
    made.save(str(path))
    (document,), (failure,) = load_all(path, limit=LIMIT)
    assert document.text == "# Colours\n\nKept\n\nKept over a shape"
    assert failure.reason == "hidden text is left out: colour of the background (1)"


def test_slides_without_text_are_a_failure_with_a_cure(tmp_path: Path) -> None:
    made = deck()
    made.slides.add_slide(made.slide_layouts[6])
    made.save(str(tmp_path / "deck.pptx"))
    documents, (failure,) = load_all(tmp_path, limit=LIMIT)
    assert (documents, failure.reason) == ([], "the file contains no text")
