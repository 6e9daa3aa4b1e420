"""Reads PowerPoint files: a page for each slide, with its tables, charts and speaker notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pptx import Presentation
from pptx.oxml import parse_xml
from pptx.oxml.ns import qn

from expertrag_index.loaders.archive import unpacked
from expertrag_index.loaders.base import Report, SourceFile, note_hidden, require_text
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import heading
from expertrag_index.loaders.hidden_pptx import remove_hidden
from expertrag_index.loaders.pages import joined
from expertrag_index.types import Document, MetadataValue

_TEXT, _PARAGRAPH, _BREAK = qn("a:t"), qn("a:p"), qn("a:br")
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DEEPEST_GROUP = 32


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a presentation as one document with pages; its title is the property, else a slide's."""
    hidden: Counter[str] = Counter()
    with unpacked(file, "PPTX") as data:
        deck: Any = Presentation(data)
        width, height = deck.slide_width, deck.slide_height
        pages: list[str] = []
        first_title = ""
        for slide in deck.slides:
            shown = remove_hidden(slide, (width, height), hidden)
            title = _title(slide) if shown else ""
            pages.append("\n\n".join(_blocks(slide, title)) if shown else "")
            first_title = first_title or title
        properties = deck.core_properties
        declared, author = properties.title.strip(), properties.author.strip()
    note_hidden(report, hidden)
    text, starts = joined(pages)
    metadata: dict[str, MetadataValue] = {"pages": len(pages)}
    if author:
        metadata["author"] = author
    if declared.lower() in ("powerpoint presentation", "presentation"):  # what programs fill in
        declared = ""
    matter = FrontMatter(declared, None, metadata)
    made = document(file, matter, first_title, require_text(text))
    yield replace(made, page_starts=starts)


def _title(slide: Any) -> str:
    title = slide.shapes.title
    return " ".join(_frame(title.text_frame).split()) if title is not None else ""


def _blocks(slide: Any, title: str) -> Iterator[str]:
    if title:
        yield heading(1, title)
    own = slide.shapes.title
    for shape in _leaves(slide.shapes, 0):
        if own is None or shape.shape_id != own.shape_id:
            yield from filter(None, [_shape(shape)])
    if slide.has_notes_slide:
        notes = slide.notes_slide.notes_text_frame
        if notes is not None and (text := _frame(notes)):
            yield f"Notes: {text}"


def _leaves(shapes: Any, depth: int) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            if depth < _DEEPEST_GROUP:
                yield from _leaves(shape.shapes, depth + 1)
        else:
            yield shape


def _shape(shape: Any) -> str:
    if getattr(shape, "has_table", False):
        return "\n".join(_rows(shape.table))
    if getattr(shape, "has_chart", False):
        return "\n".join(_chart(shape.chart))
    if shape.has_text_frame:
        return _frame(shape.text_frame)
    return _diagram(shape)


def _frame(frame: Any) -> str:
    lines = []
    for paragraph in frame.paragraphs:
        # Not paragraph.text: it leaves out fields, such as a date.
        parts = (
            " " if item.tag == _BREAK else item.text or ""
            for item in paragraph._p.iter(_TEXT, _BREAK)
        )
        line = " ".join("".join(parts).split())
        lines.append(f"- {line}" if line and paragraph.level else line)
    return "\n".join(filter(None, lines))


def _rows(table: Any) -> Iterator[str]:
    """Write a line for each row: a cell over several columns once, one over rows in each."""
    above: dict[int, str] = {}
    for row in table._tbl.tr_lst:
        texts = []
        for column, cell in enumerate(row.tc_lst):
            if cell.hMerge:
                continue
            text = " ".join("".join(part.text or "" for part in cell.iter(_TEXT)).split())
            above[column] = above.get(column, "") if cell.vMerge else text
            texts.append(above[column])
        yield " | ".join(texts)


def _chart(chart: Any) -> Iterator[str]:
    """Write the numbers of a chart as a table."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield chart.chart_title.text_frame.text
    for plot in chart.plots:
        series = list(plot.series)
        yield " | ".join(["", *(one.name for one in series)]).strip()
        for number, category in enumerate(plot.categories):
            values = (one.values[number] if number < len(one.values) else None for one in series)
            cells = ("" if value is None else f"{value:.15g}" for value in values)
            yield " | ".join([str(category), *cells])


def _diagram(shape: Any) -> str:
    """Write the texts of a SmartArt diagram, which are in a part of their own."""
    relation = next(shape._element.iter(_DIAGRAM), None)
    if relation is None:
        return ""
    part = shape.part.related_part(relation.get(qn("r:dm")))
    paragraphs = parse_xml(part.blob).iter(_PARAGRAPH)
    lines = ("".join(item.text or "" for item in each.iter(_TEXT)).strip() for each in paragraphs)
    return "\n".join(f"- {line}" for line in lines if line)
