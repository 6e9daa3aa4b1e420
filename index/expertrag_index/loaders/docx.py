"""Reads Word files: paragraphs, headings, lists, tables, text boxes, charts and notes in order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from expertrag_index.loaders.base import Report, SourceFile, note_hidden, require_text
from expertrag_index.loaders.cells import with_captions, write_table
from expertrag_index.loaders.columns import TableCell
from expertrag_index.loaders.drawings import drawings_of, read_drawings
from expertrag_index.loaders.frontmatter import document
from expertrag_index.loaders.headings import escape_headings, first_heading, heading
from expertrag_index.loaders.hidden_docx import remove_hidden
from expertrag_index.loaders.numbers_docx import BULLET, Numbering
from expertrag_index.loaders.ooxml import FALLBACK, Package, number_of, open_package, qn
from expertrag_index.loaders.runs_docx import BOX, LEFT_OUT, run_texts
from expertrag_index.loaders.styles_docx import DocxStyles
from expertrag_index.loaders.tables_docx import count_header_rows, rows_apart
from expertrag_index.types import Document

_PARAGRAPH, _TABLE, _ROW, _CELL = qn("w:p"), qn("w:tbl"), qn("w:tr"), qn("w:tc")
_SECTION = qn("w:sectPr")
_NEXT = "next"
"""An attribute of our own: the number of the section after one."""
_NOTES = {
    "footnotes": (qn("w:footnoteReference"), "Note"),
    "endnotes": (qn("w:endnoteReference"), "Note"),
    "comments": (qn("w:commentReference"), "Comment"),
}
_ID, _TYPE, _VALUE = qn("w:id"), qn("w:type"), qn("w:val")
_NoteId = tuple[str, str]


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a Word file as one document; its title is the title property, else the first heading."""
    with open_package(file, "DOCX", report) as package:
        word = _Word(package)
        note_hidden(report, remove_hidden(word.roots, word.styles))
        text = with_captions("\n\n".join(word.blocks()))
        matter = package.matter
    yield document(file, matter, first_heading(text), require_text(text))


class _Word:
    """The parts of a Word file that have text."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._body = package.root(package.main)
        self.styles = DocxStyles(self._only("styles"))
        self._numbering = Numbering(self._only("numbering"))
        settings = self._only("settings")
        both = settings.find(qn("w:evenAndOddHeaders")) if settings is not None else None
        self._has_even_pages = _is_on(both)
        self._margins = {
            name: package.root(name)
            for kind in ("header", "footer")
            for name in package.find_related(package.main, kind)
        }
        """Headers and footers by the names of their parts."""
        self._notes = dict(self._read_notes())
        self._written: set[str] = set()
        """The texts of headers and footers that are written."""

    @property
    def roots(self) -> list[Any]:
        """The elements that hold all text: the body first, then notes, headers and footers."""
        notes = (note for _, note in self._notes.values())
        return [each for each in (self._body, *self._margins.values(), *notes) if each is not None]

    def blocks(self) -> Iterator[str]:
        """Yield the blocks of the document; headers and footers around the sections they are of."""
        if self._body is None:
            return
        sections = list(self._body.iter(_SECTION))
        for number, section in enumerate(sections):
            section.set(_NEXT, str(number + 1))
        yield from self._margin_blocks(sections[:1], "w:headerReference")
        for block, section in self._flow(self._package.main, self._body):
            if block:
                yield block
            if section is not None:
                yield from self._margin_blocks([section], "w:footerReference")
                following = sections[int(section.get(_NEXT)) :][:1]
                yield from self._margin_blocks(following, "w:headerReference")

    def _only(self, kind: str) -> Any:
        """Return the root of the part of a kind; None if there is none."""
        names = self._package.find_related(self._package.main, kind)
        return self._package.root(names[0]) if names else None

    def _read_notes(self) -> Iterator[tuple[_NoteId, tuple[str, Any]]]:
        """Yield what stands outside of the text: by what refers to it its label and its element."""
        for kind, (reference, label) in _NOTES.items():
            root = self._only(kind)
            for note in root if root is not None else ():
                if note.get(_TYPE) in (None, "normal"):  # others are the lines above the notes
                    yield (reference, note.get(_ID, "")), (label, note)

    def _margin_blocks(self, sections: list[Any], kind: str) -> Iterator[str]:
        for reference in (each for section in sections for each in section.findall(qn(kind))):
            pages = {
                "first": _is_on(sections[0].find(qn("w:titlePg"))),
                "even": self._has_even_pages,
            }
            name = self._package.target(self._package.main, reference.get(qn("r:id")))
            root = self._margins.get(name)
            if root is not None and pages.get(reference.get(_TYPE), True):
                text = "\n\n".join(block for block, _ in self._flow(name, root) if block)
                if text and text not in self._written:
                    self._written.add(text)
                    yield text

    def _flow(self, part: str, root: Any) -> Iterator[tuple[str, Any]]:
        """Yield the paragraphs and tables of a part, also those in content controls.

        What a paragraph or table refers to follows it: notes, comments, charts and text boxes.

        :return: pairs of a text and the section that ends there, mostly None.
        """
        stack = [iter(root)]
        while stack:
            element = next(stack[-1], None)
            if element is None:
                stack.pop()
            elif element.tag == _PARAGRAPH:
                yield self._paragraph(element), None
                yield from self._beside(part, element)
                boxes = [box for box in element.iter(BOX) if not _is_inside(box, element, FALLBACK)]
                stack += [iter(box) for box in reversed(boxes) if not _is_inside(box, element, BOX)]
                yield "", element.find(f"{qn('w:pPr')}/{_SECTION}")
            elif element.tag == _TABLE:
                yield escape_headings(self._table(element)), None
                yield from self._beside(part, element)
            elif element.tag == _SECTION:
                yield "", element
            elif element.tag not in LEFT_OUT:
                stack.append(iter(element))

    def _beside(self, part: str, element: Any) -> Iterator[tuple[str, Any]]:
        """Yield the notes, comments and drawings of a table or a paragraph.

        Those in a text box of a paragraph follow the paragraphs of the box.
        """

        def is_own(reference: Any) -> bool:
            in_box = element.tag == _PARAGRAPH and _is_inside(reference, element, BOX)
            return not in_box and not _is_inside(reference, element, FALLBACK)

        for reference in filter(is_own, element.iter(*(tag for tag, _ in _NOTES.values()))):
            label, note = self._notes.get((reference.tag, reference.get(_ID, "")), ("", None))
            if note is not None and (text := self._flat(note)):
                yield f"{label}: {text}", None
        drawings = filter(is_own, drawings_of(element))
        yield escape_headings("\n".join(read_drawings(self._package, part, drawings, ""))), None

    def _paragraph(self, paragraph: Any) -> str:
        text = "".join(run_texts(paragraph)).strip()
        label = self._label(paragraph)
        if not text:
            return ""
        if level := self.styles.level(paragraph):
            return heading(level, text if label in ("", BULLET) else f"{label} {text}")
        return f"{label} {text}" if label else escape_headings(text)

    def _label(self, paragraph: Any) -> str:
        """Count a paragraph of a list; return its number or bullet."""
        number, style, level = self.styles.numbering(paragraph)
        if number and number != "0":
            at = self._numbering.level_of_style(number, style) if level is None else level
            return self._numbering.label(number, at)
        return BULLET if not number and self.styles.is_named_list(paragraph) else ""

    def _table(self, table: Any) -> str:
        """Write the cells that the file has, a line for each row.

        A cell over several rows is in each of them. One over several columns is in the row once,
        because it may claim to span a hundred million columns.
        """
        above: dict[int, str] = {}
        rows: list[list[TableCell]] = []
        elements = list(_own(table, _ROW))
        for row in elements:
            cells, column = [], _number(row, "w:trPr", "w:gridBefore", 0)
            for cell in _own(row, _CELL):
                merged = cell.find(f"{qn('w:tcPr')}/{qn('w:vMerge')}")
                goes_on = merged is not None and merged.get(_VALUE, "continue") == "continue"
                text = above.get(column, "") if goes_on else self._flat(cell)
                above[column] = text
                width = _number(cell, "w:tcPr", "w:gridSpan", 1)
                cells.append(TableCell(text, column, width, goes_on))
                column += width
            rows.append(cells)
        marked = count_header_rows(table, elements, self.styles)
        return write_table(rows, marked, styled=rows_apart(elements, self.styles))

    def _flat(self, cell: Any) -> str:
        """Write a cell or a note in one line, with the tables and text boxes in it."""
        lines = []
        for paragraph in cell.iter(_PARAGRAPH):
            if not _is_inside(paragraph, cell, FALLBACK):
                label = self._label(paragraph)
                text = " ".join("".join(run_texts(paragraph)).split())
                lines.append(text if label in ("", BULLET) else f"{label} {text}")
        return " ".join(filter(None, lines)).strip()


def _is_on(mark: Any) -> bool:
    return mark is not None and mark.get(_VALUE) not in ("0", "false", "off")


def _number(element: Any, properties: str, name: str, otherwise: int) -> int:
    mark = element.find(f"{qn(properties)}/{qn(name)}")
    return number_of(mark.get(_VALUE), otherwise) if mark is not None else otherwise


def _is_inside(element: Any, around: Any, tag: str) -> bool:
    for ancestor in element.iterancestors():
        if ancestor is around:
            return False
        if ancestor.tag == tag:
            return True
    return False


def _own(element: Any, tag: str) -> Iterator[Any]:
    """Yield the rows of a table or the cells of a row, also those in content controls."""
    stack = [iter(element)]
    while stack:
        child = next(stack[-1], None)
        if child is None:
            stack.pop()
        elif child.tag == tag:
            yield child
        elif child.tag not in LEFT_OUT and child.tag != _TABLE:
            stack.append(iter(child))
