"""Reads Word files: paragraphs, headings, lists, tables, text boxes and notes in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from docx import Document as open_docx
from docx.oxml import parse_xml
from docx.oxml.ns import qn

from expertrag_index.loaders.archive import unpacked
from expertrag_index.loaders.base import Report, SourceFile, note_hidden, require_text
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import first_heading, heading
from expertrag_index.loaders.hidden_docx import remove_hidden
from expertrag_index.loaders.styles_docx import DocxStyles
from expertrag_index.types import Document

_PARAGRAPH, _TABLE, _ROW, _CELL = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_BOX, _TEXT = qn("w:txbxContent"), qn("w:t")
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_LEFT_OUT = frozenset({qn("w:del"), qn("w:moveFrom"), _BOX, _FALLBACK})
"""Tracked deletions, text boxes (which follow their paragraph), and the old form of those."""
_WRITTEN = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
_TABS = qn("w:tabs")
_NOTES = {"footnotes": qn("w:footnoteReference"), "endnotes": qn("w:endnoteReference")}
_ID, _TYPE = qn("w:id"), qn("w:type")
_NoteId = tuple[str, str]


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a Word file as one document; its title is the title property, else the first heading."""
    with unpacked(file, "DOCX") as data:
        word = open_docx(data)
        notes = dict(_notes(word))
        hidden = remove_hidden(word, notes.values())
        text = "\n\n".join(_blocks(word.element.body, DocxStyles(word), notes))
        title, author = word.core_properties.title.strip(), word.core_properties.author.strip()
    note_hidden(report, hidden)
    matter = FrontMatter(title, None, {"author": author} if author else {})
    yield document(file, matter, first_heading(text), require_text(text))


def _notes(word: Any) -> Iterator[tuple[_NoteId, Any]]:
    """Yield the footnotes and endnotes of a document by what refers to them."""
    for relation in word.part.rels.values():
        reference = _NOTES.get(relation.reltype.rpartition("/")[2])
        if reference is not None and not relation.is_external:
            for note in parse_xml(relation.target_part.blob):
                if note.get(_TYPE) in (None, "normal"):  # others are the lines above the notes
                    yield (reference, note.get(_ID)), note


def _blocks(body: Any, styles: DocxStyles, notes: Mapping[_NoteId, Any]) -> Iterator[str]:
    """Write the paragraphs and tables below an element, also those in content controls.

    A footnote or an endnote follows the paragraph or table that refers to it.
    """
    stack = [iter(body)]
    while stack:
        element = next(stack[-1], None)
        if element is None:
            stack.pop()
        elif element.tag == _PARAGRAPH:
            yield from filter(None, [_paragraph(element, styles)])
            yield from _notes_of(element, notes)
            boxes = [box for box in element.iter(_BOX) if not _is_inside(box, element, _FALLBACK)]
            stack += [iter(box) for box in reversed(boxes) if not _is_inside(box, element, _BOX)]
        elif element.tag == _TABLE:
            yield from filter(None, ["\n".join(_rows(element))])
            yield from _notes_of(element, notes)
        elif element.tag not in _LEFT_OUT:
            stack.append(iter(element))


def _notes_of(element: Any, notes: Mapping[_NoteId, Any]) -> Iterator[str]:
    for reference in element.iter(*_NOTES.values()):
        note = notes.get((reference.tag, reference.get(_ID)))
        if note is not None and (text := _flat(note)):
            yield f"Note: {text}"


def _is_inside(element: Any, around: Any, tag: str) -> bool:
    for ancestor in element.iterancestors():
        if ancestor is around:
            return False
        if ancestor.tag == tag:
            return True
    return False


def _paragraph(paragraph: Any, styles: DocxStyles) -> str:
    text = "".join(_runs(paragraph)).strip()
    if text and (level := styles.level(paragraph)):
        return heading(level, text)
    return f"- {text}" if text and styles.is_list(paragraph) else text


def _runs(element: Any) -> Iterator[str]:
    """Yield the text of runs, also those in links, fields and tracked insertions."""
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag == _TEXT:
            yield child.text or ""
        elif child.tag in _WRITTEN:
            yield _WRITTEN[child.tag]
        elif child.tag not in _LEFT_OUT and child.tag != _TABS:
            stack.append(iter(child))


def _rows(table: Any) -> Iterator[str]:
    """Write the cells that the file has, a line for each row.

    A cell over several rows is in each of them, one over several columns is in the row once:
    python-docx would repeat it as often as it claims to span, a hundred million times if asked.
    """
    above: dict[int, str] = {}
    for row in _own(table, _ROW):
        texts, column = [], 0
        for cell in _own(row, _CELL):
            goes_on = cell.vMerge == "continue"
            text = above.get(column, "") if goes_on else _flat(cell)
            above[column] = text
            column += cell.grid_span
            texts.append(text)
        yield " | ".join(texts)


def _own(element: Any, tag: str) -> Iterator[Any]:
    """Yield the rows of a table or the cells of a row, also those in content controls."""
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag == tag:
            yield child
        elif child.tag not in _LEFT_OUT and child.tag != _TABLE:
            stack.append(iter(child))


def _flat(cell: Any) -> str:
    """Write a cell or a note in one line, with the tables and text boxes in it."""
    paragraphs = (each for each in cell.iter(_PARAGRAPH) if not _is_inside(each, cell, _FALLBACK))
    return " ".join(" ".join("".join(_runs(each)).split()) for each in paragraphs).strip()
