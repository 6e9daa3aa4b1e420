"""Reads OpenDocument files: texts as one document, spreadsheets and presentations with pages."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from expertrag_index.loaders.archive import open_archive
from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    note_hidden,
    require_text,
)
from expertrag_index.loaders.cells import (
    Row,
    Rows,
    Tally,
    with_captions,
    write_rows,
    write_table,
)
from expertrag_index.loaders.columns import TableCell
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import escape_headings, first_heading, heading
from expertrag_index.loaders.ooxml import local_name, number_of, parse_xml
from expertrag_index.loaders.pages import join_pages
from expertrag_index.loaders.registry import suffix_of
from expertrag_index.loaders.stamps import last_change
from expertrag_index.types import Document, MetadataValue

_BESIDE = {"note": "Note", "annotation": "Comment"}
_BOXES = ("frame", "custom-shape", "rect", "ellipse", "g", "line", "connector")
_LEFT_OUT = ("tracked-changes", "forms", "annotation-end", "note-citation", "ruby-text")
_ABOUT = "{http://purl.org/dc/elements/1.1/}"
"""The names of the author and the date of a comment begin with it."""
_SPACES = {"tab": "\t", "line-break": "\n"}
_MOST_REPEATED = 16_384
_DAMAGED = "open it with an office program and save it again"


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read an OpenDocument file; its title is the title property, else the first heading."""
    with (
        open_archive(file, suffix_of(file.name)[1:].upper()) as data,
        zipfile.ZipFile(data) as archive,
    ):
        if b"encryption-data" in _part(archive, "META-INF/manifest.xml"):
            raise Unreadable("the file is encrypted", "remove its password")
        content, complete = parse_xml(archive.read("content.xml"))
        styles, _ = parse_xml(_part(archive, "styles.xml"))
        about, _ = parse_xml(_part(archive, "meta.xml"))
        writer = _Writer([each for each in (content, styles) if each is not None], file.max_bytes)
        pages = list(writer.pages())
    if not complete:
        report("the part 'content.xml' is damaged", _DAMAGED)
    note_hidden(report, writer.hidden)
    properties = (
        {local_name(each): each.text or "" for each in about.iter()} if about is not None else {}
    )
    text, starts = join_pages(pages)
    metadata: dict[str, MetadataValue] = {} if writer.is_text else {"pages": len(pages)}
    if author := (properties.get("creator") or properties.get("initial-creator", "")).strip():
        metadata["author"] = author
    if day := last_change(properties.get("date"), properties.get("creation-date")):
        metadata["modified"] = day
    matter = FrontMatter(properties.get("title", "").strip(), None, metadata)
    name = first_heading(text) if not writer.is_sheets else ""
    made = document(file, matter, name, require_text(text))
    yield made if writer.is_text else replace(made, page_starts=starts)


class _Writer:
    """Writes the body of a file. ``hidden`` counts what it does not show.

    :param roots: of the content and the styles.
    """

    def __init__(self, roots: list[Any], max_bytes: int) -> None:
        self.hidden: Counter[str] = Counter()
        self._tally = Tally(max_bytes)
        self._roots = roots
        body = next(iter(roots[0].iter("{*}body")), None) if roots else None
        self._body = body[0] if body is not None and len(body) else None
        kind = local_name(self._body) if self._body is not None else ""
        self.is_sheets = kind == "spreadsheet"
        self.is_text = not self.is_sheets and kind != "presentation"
        self._unseen = {
            (_of(each, "family"), _of(each, "name"))
            for root in roots
            for each in root.iter("{*}style")
            if _hides(each)
        }
        """The family and the name of each style whose elements are not shown."""
        self._bold = {
            _of(each, "name")
            for root in roots
            for each in root.iter("{*}style")
            if any(_of(look, "font-weight") == "bold" for look in each)
        }
        """The names of the styles that are bold."""

    def pages(self) -> Iterator[str]:
        """Yield the text of each sheet or slide, or of the whole document."""
        if self._body is None:
            return
        if self.is_text:
            yield with_captions("\n\n".join([*self._blocks(self._body), *self._margins()]))
            return
        for page in self._body.iterchildren("{*}table" if self.is_sheets else "{*}page"):
            family = "table" if self.is_sheets else "drawing-page"
            if (family, _of(page, "style-name")) in self._unseen:
                self.hidden["hidden sheet" if self.is_sheets else "hidden slide"] += 1
                yield ""
            else:
                blocks = list(self._sheet(page) if self.is_sheets else self._slide(page))
                yield ("\n" if self.is_sheets else "\n\n").join(blocks)

    def _margins(self) -> Iterator[str]:
        """Yield the texts of headers and footers, each one once."""
        kinds = ("{*}header", "{*}footer", "{*}header-first", "{*}footer-first")
        texts = (
            " ".join(self._blocks(each)) for root in self._roots[1:] for each in root.iter(*kinds)
        )
        yield from dict.fromkeys(filter(None, texts))

    def _slide(self, page: Any) -> Iterator[str]:
        title = next((each for each in page if _of(each, "class") == "title"), None)
        notes = page.find("{*}notes")
        if title is not None and (text := " ".join(self._blocks(title))):
            yield heading(1, text)
        for shape in page:
            if shape is not title and shape is not notes:
                yield from self._blocks([shape])
        if notes is not None and (text := " ".join(self._blocks(notes))):
            yield f"Notes: {text}"

    def _sheet(self, table: Any) -> Iterator[str]:
        rows: Rows = {}
        beside: dict[int, list[str]] = {}
        for number, element in enumerate(table.iter("{*}table-row"), 1):
            row: Row = {}
            for column, text in self._cells(element):
                row[column] = text
            if _of(element, "visibility") == "collapse":
                self.hidden.update(["hidden row"] if row else [])
                continue
            self._tally.add(list(row.values()))
            beside[number] = list(self._beside(element))
            rows |= {number: row} if row else {}
        lines = dict(write_rows(rows, {}))
        if lines or any(beside.values()):
            yield from (heading(1, _of(table, "name")), "")
        for number, others in beside.items():
            yield from filter(None, [escape_headings(lines.get(number, "")), *others])
        for shapes in table.iterchildren("{*}shapes"):
            yield from self._blocks(shapes)

    def _cells(self, row: Any) -> Iterator[tuple[int, str]]:
        """Yield the cells of a row that have a text, with their columns."""
        column = 1
        for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
            times = number_of(_of(cell, "number-columns-repeated"), 1)
            if text := " ".join(" ".join(map(_inline, cell.iterchildren("{*}p", "{*}h"))).split()):
                yield from ((column + at, text) for at in range(min(times, _MOST_REPEATED)))
            column += times

    def _table(self, table: Any) -> str:
        """Write a line for each row of a table in a text; a cell over rows is in each of them."""
        above: dict[int, tuple[str, int]] = {}
        rows: list[list[TableCell]] = []
        marked = None
        for row in table.iter("{*}table-row"):
            cells: list[TableCell] = []
            column = 0
            for cell in row.iterchildren("{*}table-cell", "{*}covered-table-cell"):
                text, left = above.get(column, ("", 0))
                goes_on = local_name(cell) != "table-cell"
                width = number_of(_of(cell, "number-columns-spanned"), 1)
                if not goes_on:
                    text = " ".join(" ".join(self._blocks(cell)).split())
                    left = number_of(_of(cell, "number-rows-spanned"), 1)
                if not goes_on or left > 0:
                    above[column] = (text, left - 1)
                    cells.append(TableCell(text, column, width, goes_on))
                column += number_of(_of(cell, "number-columns-repeated"), 1)
            rows.append(cells)
            is_marked = local_name(row.getparent()) == "table-header-rows"
            marked = len(rows) if is_marked else marked
        return write_table(rows, marked, styled=self._rows_apart(table))

    def _rows_apart(self, table: Any) -> list[int]:
        """Return the numbers of the rows in which each paragraph is bold."""
        paragraphs = (list(row.iter("{*}p")) for row in table.iter("{*}table-row"))
        return [
            at
            for at, row in enumerate(paragraphs)
            if row and all(_of(each, "style-name") in self._bold for each in row)
        ]

    def _blocks(self, root: Any, mark: str = "") -> Iterator[str]:
        """Yield the paragraphs and tables below an element; what stands next to one follows it."""
        for element in root:
            name = local_name(element)
            if name in ("p", "h"):
                if ("paragraph", _of(element, "style-name")) in self._unseen:
                    self.hidden["hidden"] += 1
                    continue
                text = _inline(element).strip()
                level = number_of(_of(element, "outline-level"), 1)
                if text:
                    yield (
                        heading(level, text)
                        if name == "h"
                        else mark + (text if mark else escape_headings(text))
                    )
                yield from self._beside(element)
            elif name == "table":
                yield escape_headings(self._table(element))
            elif name in ("title", "desc"):
                yield from (
                    f"[Image: {text}]" for text in [" ".join((element.text or "").split())] if text
                )
            elif name and not _is_left_out(element) and name not in _BESIDE:
                yield from self._blocks(element, "- " if name == "list-item" else mark)

    def _beside(self, element: Any) -> Iterator[str]:
        """Yield notes, comments and text boxes of a paragraph or row."""
        for each in element.iterdescendants(*(f"{{*}}{name}" for name in (*_BESIDE, *_BOXES))):
            name = local_name(each)
            if name in _BESIDE:
                yield f"{_BESIDE[name]}: {' '.join(self._blocks(each))}"
            elif not any(local_name(around) in _BOXES for around in each.iterancestors()):
                yield from self._blocks([each])


def _part(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except Exception:  # missing, or damaged in any way
        return b""


def _of(element: Any, name: str) -> str:
    """Return an attribute of any namespace."""
    values = (value for key, value in element.attrib.items() if key.rpartition("}")[2] == name)
    return next(values, "")


def _is_left_out(element: Any) -> bool:
    return local_name(element) in _LEFT_OUT or element.tag.startswith(_ABOUT)


def _hides(style: Any) -> bool:
    """Whether what has a style is not shown."""
    return any(
        _of(each, "display") in ("none", "false") or _of(each, "visibility") == "hidden"
        for each in style
    )


def _inline(element: Any) -> str:
    """Return the text of a paragraph, without what stands next to it."""
    parts = [element.text or ""]
    for child in element:
        name = local_name(child)
        if name == "s":
            parts.append(" " * min(number_of(_of(child, "c"), 1), 100))
        elif name in _SPACES:
            parts.append(_SPACES[name])
        elif name and name not in _BESIDE and name not in _BOXES and not _is_left_out(child):
            parts.append(_inline(child))
        parts.append(child.tail or "")
    return "".join(parts)
