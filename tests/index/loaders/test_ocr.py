"""Scanned PDF files: the order of lines, and real pictures of text."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fpdf import FPDF
from index.conftest import load_all
from index.loaders.test_pdf import pdf_of, show
from PIL import Image, ImageDraw, ImageFont

from expertrag_common.extras import install_command
from expertrag_index.loaders import ReadLimits, load, ocr
from expertrag_index.loaders.ocr import TextLine, in_reading_order
from expertrag_index.types import LoadFailure


def line(left: float, top: float, right: float, text: str) -> TextLine:
    return TextLine(left, top, right, top + 10, text)


def column(name: str, left: float, top: float, count: int) -> list[TextLine]:
    return [line(left, top + 12 * at, left + 180, f"{name}{at}") for at in range(count)]


def test_lines_are_read_column_by_column_below_and_above_what_spans_them() -> None:
    heading, end = line(50, 10, 450, "heading"), line(40, 200, 460, "end")
    left, right = column("l", 50, 40, 6), column("r", 260, 43, 8)
    shuffled = [end, *right, heading, *left]
    assert in_reading_order(shuffled, 500) == [
        "heading",
        *(f"l{at}" for at in range(6)),
        *(f"r{at}" for at in range(8)),
        "end",
    ]


def test_three_columns_are_read_from_left_to_right() -> None:
    lines = column("c", 420, 0, 4) + column("a", 0, 0, 4) + column("b", 210, 0, 4)
    assert "".join(in_reading_order(lines, 620)) == "a0a1a2a3b0b1b2b3c0c1c2c3"


def test_the_cells_of_a_row_are_one_line() -> None:
    cells = [line(300, 11, 350, "120"), line(50, 10, 90, "Tug"), line(50, 30, 95, "Ferry")]
    assert in_reading_order([*cells, line(300, 30, 350, "90")], 500) == ["Tug 120", "Ferry 90"]


def test_a_page_of_very_many_lines_is_read_by_rows() -> None:
    lines = column("l", 0, 0, 400) + column("r", 200, 0, 400)
    assert in_reading_order(lines, 400) == [f"l{at} r{at}" for at in range(400)]


def scan(text: str) -> bytes:
    """A page that is a picture of a text."""
    picture = Image.new("RGB", (1240, 400), "white")
    font = ImageFont.load_default(size=36)
    ImageDraw.Draw(picture).multiline_text((90, 60), text, fill="black", font=font, spacing=16)
    kept = io.BytesIO()
    picture.save(kept, "PNG")
    made = FPDF(format=(210, 68))
    made.add_page()
    made.image(kept, x=0, y=0, w=210)
    return bytes(made.output())


def test_a_scan_names_the_option_that_reads_it(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(scan("Harbour"))
    _, (failure,) = load_all(tmp_path, limit=2**22)
    assert failure.reason == "the PDF has no text; scanned?"
    assert failure.cure.startswith("use --ocr")


@pytest.mark.skipif(ocr.is_installed(), reason="the extra is installed")
def test_without_the_extra_a_scan_is_a_failure_that_tells_how_to_install_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.pdf").write_bytes(scan("Harbour"))
    failures: list[LoadFailure] = []
    assert list(load([tmp_path], on_failure=failures.append, limits=ReadLimits(ocr=True))) == []
    assert failures[0].cure == install_command("ocr")


@pytest.mark.skipif(not ocr.is_installed(), reason="needs the extra 'ocr'")
def test_scanned_pages_are_read_and_pages_with_text_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "scan.pdf").write_bytes(scan("The pilot boards at noon.\nBring the tide tables."))
    (tmp_path / "text.pdf").write_bytes(pdf_of(show("Plain text.")))
    (tmp_path / "blank.pdf").write_bytes(pdf_of(""))
    failures: list[LoadFailure] = []
    documents = load([tmp_path], on_failure=failures.append, limits=ReadLimits(ocr=True))
    assert {document.id: document.text for document in documents} == {
        "scan.pdf": "The pilot boards at noon.\nBring the tide tables.",
        "text.pdf": "Plain text.",
    }
    assert [failure.reason for failure in failures] == [
        "the PDF has no text, and none was recognised"
    ]
