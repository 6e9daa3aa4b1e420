"""Reads PowerPoint files: a page for each slide, with its tables, charts, comments and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from expertrag_index.loaders.base import Report, SourceFile, note_hidden, require_text
from expertrag_index.loaders.cells import write_table
from expertrag_index.loaders.columns import TableCell
from expertrag_index.loaders.drawings import (
    describe_picture,
    drawings_of,
    lines_of,
    read_drawings,
    text_of,
)
from expertrag_index.loaders.frontmatter import document
from expertrag_index.loaders.headings import escape_headings, heading
from expertrag_index.loaders.hidden_pptx import is_shown, remove_hidden
from expertrag_index.loaders.ooxml import Package, is_fallback, number_of, open_package, qn
from expertrag_index.loaders.pages import join_pages
from expertrag_index.types import Document

_SHAPE, _FRAME = qn("p:sp"), qn("p:graphicFrame")
_SHAPES = (_SHAPE, _FRAME, *map(qn, ("p:pic", "p:cxnSp", "p:grpSp")))
_TABLE, _ROW, _CELL, _LOOK = qn("a:tbl"), qn("a:tr"), qn("a:tc"), qn("a:tblPr")
_RUN, _RUN_LOOK = qn("a:r"), qn("a:rPr")
_NAMES, _PLACEHOLDER = qn("p:cNvPr"), qn("p:ph")
_TRUE = ("1", "true")
_TITLES = ("title", "ctrTitle")
_OF_NOTES_PAGE = ("sldImg", "sldNum", "hdr", "ftr", "dt")
_NO_TITLES = ("powerpoint presentation", "presentation")  # what programs fill in
_CURE = "open it in PowerPoint and save it again"


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a presentation as one document with pages; its title is the property, else a slide's."""
    with open_package(file, "PPTX", report) as package:
        deck = _Deck(package, report)
        pages = list(deck.pages())
        matter = package.matter
    note_hidden(report, deck.hidden)
    text, starts = join_pages(pages)
    declared = "" if matter.title.lower() in _NO_TITLES else matter.title
    matter = replace(matter, title=declared, metadata={"pages": len(pages), **matter.metadata})
    made = document(file, matter, deck.first_title, require_text(text))
    yield replace(made, page_starts=starts)


class _Deck:
    """A presentation. ``hidden`` counts what its slides do not show."""

    def __init__(self, package: Package, report: Report) -> None:
        self.hidden: Counter[str] = Counter()
        self.first_title = ""
        self._package = package
        self._report = report
        self._roots: dict[str, Any] = {}
        """Layouts, masters and themes by the names of their parts."""
        self._written: set[str] = set()
        """Layouts and masters whose own texts were written once."""

    def pages(self) -> Iterator[str]:
        """Yield the text of each slide in the order of the deck; empty for a hidden one."""
        root = self._package.root(self._package.main)
        extent = root.find(qn("p:sldSz")) if root is not None else None
        width, height = (
            number_of(extent.get(side)) if extent is not None else 0 for side in ("cx", "cy")
        )
        for number, name in enumerate(self._slides(root), 1):
            where = f"slide {number}"
            slide = self._package.root(name, where)
            if slide is None or not is_shown(slide, self.hidden):
                yield ""
                continue
            layouts = self._layouts(name)
            theme = self._root_of(next(iter(self._find_related(layouts, "theme")), ""))
            behind = [slide, *(self._root_of(layout) for layout in layouts)]
            remove_hidden(behind, theme, (width, height), self.hidden)
            blocks = [*self._blocks(name, slide, where), *self._own_texts(layouts, behind)]
            yield "\n\n".join(blocks)

    def _slides(self, root: Any) -> list[str]:
        package = self._package
        listed = root.iter(qn("p:sldId")) if root is not None else ()
        names = [package.target(package.main, each.get(qn("r:id"))) for each in listed]
        return names if any(names) else package.find_related(package.main, "slide")

    def _layouts(self, slide: str) -> list[str]:
        """Return the names of the layout and the master of a slide."""
        layouts = self._find_related([slide], "slideLayout")[:1]
        return layouts + self._find_related(layouts, "slideMaster")[:1]

    def _find_related(self, names: list[str], kind: str) -> list[str]:
        return [target for name in names for target in self._package.find_related(name, kind)]

    def _root_of(self, name: str) -> Any:
        if name and name not in self._roots:
            self._roots[name] = self._package.root(name)
        return self._roots.get(name)

    def _blocks(self, name: str, slide: Any, where: str) -> Iterator[str]:
        shapes = [shape for shape in slide.iter(*_SHAPES) if not is_fallback(shape)]
        own = next((shape for shape in shapes if _placeholder(shape) in _TITLES), None)
        title = " ".join(_texts(own)) if own is not None else ""
        self.first_title = self.first_title or title
        if title:
            yield heading(1, title)
        for shape in shapes:
            if shape is not own or not title:
                yield from self._shape(name, shape, where)
        for notes in self._find_related([name], "notesSlide"):
            if text := "\n".join(_note_lines(self._package.root(notes, where))):
                yield f"Notes: {text}"
        for comments in self._find_related([name], "comments"):
            for text in _comments(self._package.root(comments, where)):
                yield f"Comment: {text}"

    def _shape(self, name: str, shape: Any, where: str) -> Iterator[str]:
        names = next(shape.iter(_NAMES), None)
        at = f"{where}, {names.get('name', '')!r}" if names is not None else where
        try:
            lines = [*_texts(shape), describe_picture(names)]
            if shape.tag == _FRAME:
                lines += _tables(shape)
                lines += read_drawings(self._package, name, drawings_of(shape), at)
        except Exception as error:  # one shape never refuses the others
            self._report(f"{at} cannot be read ({type(error).__name__})", _CURE)
            return
        if text := "\n".join(filter(None, lines)):
            yield escape_headings(text)

    def _own_texts(self, names: list[str], behind: list[Any]) -> Iterator[str]:
        """Yield the texts that a layout and a master show on each slide, once for the deck.

        :param behind: the roots of the slide and of these.
        """
        for name, over, root in zip(names, behind, behind[1:], strict=False):
            if over is None or root is None or over.get("showMasterSp") in ("0", "false"):
                return
            if name not in self._written:
                self._written.add(name)
                shapes = [each for each in root.iter(_SHAPE) if _placeholder(each) is None]
                yield from (escape_headings(text) for each in shapes for text in _texts(each))


def _placeholder(shape: Any) -> str | None:
    """Return what kind of placeholder of its layout a shape fills; None if none."""
    mark = shape.find(f"{{*}}nvSpPr/{{*}}nvPr/{_PLACEHOLDER}")
    return None if mark is None else mark.get("type", "obj")


def _texts(shape: Any) -> list[str]:
    body = shape.find(qn("p:txBody"))
    return lines_of(body) if body is not None else []


def _note_lines(root: Any) -> Iterator[str]:
    for shape in root.iter(_SHAPE) if root is not None else ():
        if _placeholder(shape) not in _OF_NOTES_PAGE:
            yield from _texts(shape)


def _comments(root: Any) -> Iterator[str]:
    """Yield the comments on a slide; old programs write them as plain texts."""
    if root is not None:
        yield from (" ".join((each.text or "").split()) for each in root.iter(qn("p:text")))
        yield from lines_of(root)


def _tables(frame: Any) -> Iterator[str]:
    """Write a line for each row: a cell over several columns once, one over rows in each."""
    for table in frame.iter(_TABLE):
        above: dict[int, str] = {}
        rows: list[list[TableCell]] = []
        for row in table.iter(_ROW):
            cells: list[TableCell] = []
            for column, cell in enumerate(row.iter(_CELL)):
                if cell.get("hMerge") in _TRUE:
                    continue
                goes_on = cell.get("vMerge") in _TRUE
                above[column] = (
                    above.get(column, "")
                    if goes_on
                    else " ".join(map(text_of, cell.iter(qn("a:p")))).strip()
                )
                width = number_of(cell.get("gridSpan"), 1)
                cells.append(TableCell(above[column], column, width, goes_on))
            rows.append(cells)
        yield write_table(rows, _count_header_rows(table), styled=_rows_apart(table))


def _count_header_rows(table: Any) -> int | None:
    """Return 1 if the first row is shown as a header, None if not.

    Programs choose that by default, so it tells nothing of two columns, which may be names and
    their values.
    """
    look, first = table.find(_LOOK), table.find(_ROW)
    shows = look is not None and look.get("firstRow") in _TRUE
    return 1 if shows and first is not None and len(first.findall(_CELL)) > 2 else None


def _rows_apart(table: Any) -> list[int]:
    """Return the numbers of the rows that are bold."""
    looks = (
        {run.find(_RUN_LOOK) is not None and run.find(_RUN_LOOK).get("b") in _TRUE
         for run in row.iter(_RUN)}
        for row in table.iter(_ROW)
    )  # fmt: skip
    return [at for at, look in enumerate(looks) if look == {True}]
