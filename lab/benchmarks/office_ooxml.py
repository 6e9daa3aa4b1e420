"""Write Word, PowerPoint and Excel files of the office share from its markup."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import docx
import pptx
import xlsxwriter
from docx.enum.text import WD_BREAK
from office_markup import Block, Kind, number
from pptx.util import Inches, Pt

if TYPE_CHECKING:
    from docx.document import Document

Meta = Mapping[str, str]
_STYLES = {Kind.BULLET: "List Bullet", Kind.NUMBERED: "List Number"}
_EPOCH = (1980, 1, 1, 0, 0, 0)


def word(meta: Meta, content: Sequence[Block]) -> bytes:
    """Write a Word file: styles for headings and lists, merged cells, header and footer."""
    document = docx.Document()
    _describe(document.core_properties, meta)
    section = document.sections[0]
    if header := meta.get("header"):
        section.header.paragraphs[0].text = header
    if footer := meta.get("footer"):
        section.footer.paragraphs[0].text = footer
    for block in content:
        _add(document, block)
    return _saved(document)


def _add(document: Document, block: Block) -> None:
    match block.kind:
        case Kind.HEADING if block.level == 1:
            document.add_heading(block.text, 0)
        case Kind.HEADING:
            document.add_heading(block.text, block.level - 1)
        case Kind.TABLE:
            _add_table(document, block)
        case Kind.TEXT if block.text == "<page>":
            document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
        case _:
            paragraph = document.add_paragraph(style=_STYLES.get(block.kind))
            for place, part in enumerate(block.text.split("**")):
                paragraph.add_run(part).bold = bool(place % 2)


def _add_table(document: Document, block: Block) -> None:
    if block.text:
        document.add_paragraph(block.text, style="Caption")
    table = document.add_table(len(block.grid), len(block.grid[0]), style="Table Grid")
    for cell in block.cells():
        target = table.cell(cell.row, cell.column)
        if cell.rows > 1 or cell.columns > 1:
            corner = table.cell(cell.row + cell.rows - 1, cell.column + cell.columns - 1)
            target = target.merge(corner)
        target.text = cell.text
        for run in target.paragraphs[0].runs:
            run.bold = cell.row < block.headers
    document.add_paragraph()


def slides(meta: Meta, content: Sequence[Block]) -> bytes:
    """Write a PowerPoint file: a slide for each heading, with its bullets, table and notes."""
    deck = pptx.Presentation()
    _describe(deck.core_properties, meta)
    for head, others in _by_heading(content):
        layout = deck.slide_layouts[0 if head.level == 1 else 5]
        slide = deck.slides.add_slide(layout)
        slide.shapes.title.text = head.text
        texts = [item for item in others if item.kind not in (Kind.TABLE, Kind.NOTE)]
        tables = [item for item in others if item.kind is Kind.TABLE]
        if head.level == 1:
            slide.placeholders[1].text = "\n".join(item.text for item in texts)
        elif texts:
            _add_box(slide, [item.text for item in texts], 1.4)
        for place, table in enumerate(tables):
            _add_grid(slide, table, 2.6 + 2.2 * place)
        for note in (item.text for item in others if item.kind is Kind.NOTE):
            slide.notes_slide.notes_text_frame.text = note
    return _saved(deck)


def _add_box(slide: Any, lines: Sequence[str], top: float) -> None:
    box = slide.shapes.add_textbox(Inches(0.6), Inches(top), Inches(8.6), Inches(1.2))
    frame = box.text_frame
    frame.text = lines[0]
    for line in lines[1:]:
        frame.add_paragraph().text = line
    for paragraph in frame.paragraphs:
        paragraph.font.size = Pt(18)


def _add_grid(slide: Any, block: Block, top: float) -> None:
    if block.text:
        _add_box(slide, [block.text], top - 0.45)
    rows, columns = len(block.grid), len(block.grid[0])
    frame = slide.shapes.add_table(
        rows, columns, Inches(0.6), Inches(top), Inches(8.6), Inches(0.3 * rows)
    )
    for cell in block.cells():
        target = frame.table.cell(cell.row, cell.column)
        if cell.rows > 1 or cell.columns > 1:
            corner = (cell.row + cell.rows - 1, cell.column + cell.columns - 1)
            target.merge(frame.table.cell(*corner))
        target.text = cell.text


def sheets(meta: Meta, content: Sequence[Block]) -> bytes:
    """Write an Excel file: a sheet for each heading, captions and remarks in column A."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        when = datetime.fromisoformat(meta["date"])
        author, title = meta.get("author", "Office"), meta.get("title", "")
        book.set_properties({"title": title, "author": author, "created": when})
        for head, others in _by_heading(content):
            sheet, row = book.add_worksheet(head.text[:31]), 0
            for block in others:
                if block.text:
                    sheet.write_string(row, 0, block.text)
                    row += 1
                if block.kind is Kind.TABLE:
                    _add_rows(book, sheet, block, row)
                    row += len(block.grid) + 1
    return buffer.getvalue()


def _add_rows(book: Any, sheet: Any, block: Block, top: int) -> None:
    for cell in block.cells():
        value = number(cell.text)
        decimals = len(cell.text.partition(".")[2])
        form: dict[str, object] = {"bold": cell.row < block.headers}
        if value is not None:
            form["num_format"] = "#,##0" if "," in cell.text else f"0.{'0' * decimals}".rstrip(".")
        place = (top + cell.row, cell.column)
        if cell.rows > 1 or cell.columns > 1:
            end = (place[0] + cell.rows - 1, place[1] + cell.columns - 1)
            sheet.merge_range(*place, *end, cell.text, book.add_format(form))
        else:
            sheet.write(*place, cell.text if value is None else value, book.add_format(form))


def _by_heading(content: Sequence[Block]) -> list[tuple[Block, list[Block]]]:
    groups: list[tuple[Block, list[Block]]] = []
    for block in content:
        if block.kind is Kind.HEADING:
            groups.append((block, []))
        else:
            groups[-1][1].append(block)
    return groups


def _describe(properties: Any, meta: Meta) -> None:
    """Set the document's properties."""
    when = datetime.fromisoformat(meta["date"])
    properties.author = meta.get("author", "Office")
    properties.title = meta.get("title", "")
    properties.created = properties.modified = when


def _saved(document: Any) -> bytes:
    """Save with fixed times of the parts, so that the same content gives the same bytes."""
    buffer, result = io.BytesIO(), io.BytesIO()
    document.save(buffer)
    with (
        zipfile.ZipFile(buffer) as source,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(zipfile.ZipInfo(name, _EPOCH), source.read(name))
    return result.getvalue()
