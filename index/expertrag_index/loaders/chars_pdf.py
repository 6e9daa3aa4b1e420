"""The characters of a PDF page with their places, and cells of tables made of them."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import pypdfium2.raw as pdfium
from pypdfium2 import PdfTextPage

from expertrag_index.loaders.columns import TableCell
from expertrag_index.loaders.hyphens import join_broken_words

_HYPHENS = "\x02\ufffe"
"""PDFium's signs for a hyphen at the end of a line."""
_BOLD = ("bold", "black", "heavy", "demi")
_LONGEST_NAME = 200


class Char(NamedTuple):
    """A character that is not white space; its box in points."""

    at: int
    text: str
    left: float
    low: float
    right: float
    high: float


class PdfCell(NamedTuple):
    """A cell, and the characters of its text."""

    cell: TableCell
    chars: Sequence[Char]


class PdfTable(NamedTuple):
    """A table in the place of the characters from ``start`` to before ``end``.

    ``edges``: where its columns begin, in points; ``bold``: the numbers of the rows in bold.
    """

    start: int
    end: int
    edges: Sequence[float]
    rows: Sequence[Sequence[TableCell]]
    bold: Sequence[int]
    is_ruled: bool


def chars_of(page: PdfTextPage, places: Iterable[range]) -> list[Char]:
    """Return the characters of a page at some places of its text."""
    box, raw = pdfium.FS_RECTF(), page.raw
    at_box = ctypes.byref(box)
    chars = []
    for at in chain.from_iterable(places):
        text = chr(pdfium.FPDFText_GetUnicode(raw, at))
        if not text.isspace() and text != "\0":
            pdfium.FPDFText_GetLooseCharBox(raw, at, at_box)
            chars.append(Char(at, text, box.left, box.bottom, box.right, box.top))
    return chars


def text_of(chars: Sequence[Char], whole: str) -> str:
    """Return the text of a cell in one line, with the words joined that its lines break.

    :param whole: the text of the page, which tells the words.
    """
    pieces: list[str] = []
    last: Char | None = None
    for char in chars:
        if last is not None and abs(char.low - last.low) > (last.high - last.low) / 2:
            pieces.append("\n")
        elif last is not None and char.at > last.at + 1:
            pieces.append(" ")
        pieces.append("-" if char.text in _HYPHENS else char.text)
        last = char
    text = "".join(pieces)
    if "-\n" in text:
        text = join_broken_words([text, whole])[0]
    return " ".join(text.split())


def table_of(
    page: PdfTextPage, rows: Sequence[Sequence[PdfCell]], edges: Sequence[float], *, is_ruled: bool
) -> PdfTable:
    """Return the table that rows of cells are, of which one at least has text."""
    indices = [char.at for row in rows for each in row for char in each.chars]
    bold = [at for at, row in enumerate(rows) if all(_is_bold(page, each) for each in row)]
    cells = [[each.cell for each in row] for row in rows]
    return PdfTable(min(indices), max(indices) + 1, edges, cells, bold, is_ruled)


def _is_bold(page: PdfTextPage, cell: PdfCell) -> bool:
    if not cell.chars:
        return True
    name = ctypes.create_string_buffer(_LONGEST_NAME)
    pdfium.FPDFText_GetFontInfo(page.raw, cell.chars[0].at, name, _LONGEST_NAME, None)
    return any(word in name.value.lower() for word in map(str.encode, _BOLD))
