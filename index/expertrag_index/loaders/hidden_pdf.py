"""Extracts the text of PDF pages: with the values of forms, without what a page does not show.

That is text that is not drawn (text rendering mode 3), transparent, or outside the page. OCR puts
the text of a scan behind its picture in mode 3. So text that is not drawn is kept on a page that is
mostly a picture.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium
from pypdfium2 import PdfDocument, PdfPage, PdfTextPage

from expertrag_index.loaders.rules_pdf import grids_of
from expertrag_index.loaders.tables_pdf import PdfTables

_SHARE_OF_SCAN = 0.5
_DEEPEST_FORM = 15
_NOT_DRAWN = "not drawn"

Box = tuple[float, float, float, float]
"""Left, bottom, right and top in points."""


class _Object(NamedTuple):
    """Something on a page. ``form`` is what holds it, None if the page does itself."""

    raw: Any
    kind: int
    form: _Object | None
    depth: int


def with_annotations(book: PdfDocument, number: int) -> PdfPage:
    """Return a page with the values of its form and the texts that are put on it as its own text.

    :raises PdfiumError: the page is damaged.
    """
    page = book[number]
    if not any(kind != pdfium.FPDF_ANNOT_LINK for kind in _annotations(page)):
        return page
    if pdfium.FPDFPage_Flatten(page.raw, pdfium.FLAT_NORMALDISPLAY) != pdfium.FLATTEN_SUCCESS:
        return page
    page.close()
    return book[number]


def page_text(page: PdfPage, hidden: Counter[str], tables: PdfTables) -> str:
    """Return the text of a page, and count texts that are left out.

    :param tables: writes the tables of the file.
    """
    is_upright = page.get_rotation() == 0
    page.set_rotation(0)  # PDFium takes the lines of a turned page for columns
    bounds = page.get_bbox()
    objects = list(_objects(page))
    unseen = [(item, reason) for item in objects if (reason := _reason(item, bounds))]
    shown = page.get_textpage()
    if any(reason == _NOT_DRAWN for _, reason in unseen) and _is_scan(objects, bounds):
        unseen = [(item, reason) for item, reason in unseen if reason != _NOT_DRAWN]
    unseen = [(item, reason) for item, reason in unseen if _text(item, shown).strip()]
    if unseen:
        shown.close()
        for item, reason in unseen:
            hidden[reason] += 1
            _remove(page, item)
        shown = page.get_textpage()
    if not is_upright:
        return str(shown.get_text_range())
    paths = ((item.raw, _forms(item)) for item in objects if item.kind == pdfium.FPDF_PAGEOBJ_PATH)
    return tables.page_text(shown, grids_of(paths))


def _annotations(page: PdfPage) -> Iterator[int]:
    """Yield the kinds of the annotations of a page."""
    for number in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, number)
        yield pdfium.FPDFAnnot_GetSubtype(annotation)
        pdfium.FPDFPage_CloseAnnot(annotation)


def _objects(page: PdfPage) -> Iterator[_Object]:
    """Yield the objects of a page and of the forms on it."""
    forms: list[_Object | None] = [None]
    while forms:
        form = forms.pop()
        owner = form.raw if form else page.raw
        count = pdfium.FPDFFormObj_CountObjects if form else pdfium.FPDFPage_CountObjects
        get = pdfium.FPDFFormObj_GetObject if form else pdfium.FPDFPage_GetObject
        depth = form.depth + 1 if form else 0
        for number in range(count(owner)):
            raw = get(owner, number)
            item = _Object(raw, pdfium.FPDFPageObj_GetType(raw), form, depth)
            yield item
            if item.kind == pdfium.FPDF_PAGEOBJ_FORM and depth < _DEEPEST_FORM:
                forms.append(item)


def _forms(item: _Object) -> list[Any]:
    """Return the forms that hold an object, the inner first."""
    forms = []
    while item.form is not None:
        item = item.form
        forms.append(item.raw)
    return forms


def _reason(item: _Object, page: Box) -> str:
    """Return why a text is not shown; empty if it is, or is not text."""
    if item.kind != pdfium.FPDF_PAGEOBJ_TEXT:
        return ""
    mode = pdfium.FPDFTextObj_GetTextRenderMode(item.raw)
    if mode == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
        return _NOT_DRAWN
    if mode == pdfium.FPDF_TEXTRENDERMODE_FILL and _alpha(item) == 0:
        return "transparent"
    if item.form is None and _area(_overlap(_bounds(item), page)) < 0:
        return "outside the page"
    return ""


def _alpha(item: _Object) -> int:
    channels = [ctypes.c_uint(255) for _ in range(4)]
    pdfium.FPDFPageObj_GetFillColor(item.raw, *map(ctypes.byref, channels))
    return channels[-1].value


def _bounds(item: _Object) -> Box:
    sides = [ctypes.c_float() for _ in range(4)]
    pdfium.FPDFPageObj_GetBounds(item.raw, *map(ctypes.byref, sides))
    left, bottom, right, top = (side.value for side in sides)
    return left, bottom, right, top


def _overlap(one: Box, other: Box) -> Box:
    return (*map(max, one[:2], other[:2]), *map(min, one[2:], other[2:]))  # type: ignore[return-value]


def _area(box: Box) -> float:
    left, bottom, right, top = box
    return -1.0 if right < left or top < bottom else (right - left) * (top - bottom)


def _is_scan(objects: list[_Object], page: Box) -> bool:
    """Whether a picture covers half of a page; one inside a form has the bounds of the form."""
    pictures = [item for item in objects if item.kind == pdfium.FPDF_PAGEOBJ_IMAGE]
    pictures += [item.form for item in pictures if item.form]
    largest = max((_area(_overlap(_bounds(item), page)) for item in pictures), default=0.0)
    return largest >= _SHARE_OF_SCAN * _area(page)


def _text(item: _Object, page: PdfTextPage) -> str:
    size = pdfium.FPDFTextObj_GetText(item.raw, page.raw, None, 0)  # bytes, with a NUL at the end
    buffer = (pdfium.FPDF_WCHAR * (size // 2 + 1))()
    pdfium.FPDFTextObj_GetText(item.raw, page.raw, buffer, size)
    return bytes(buffer).decode("utf-16-le", "replace").rstrip("\0")


def _remove(page: PdfPage, item: _Object) -> None:
    if item.form is None:
        removed = pdfium.FPDFPage_RemoveObject(page.raw, item.raw)
    else:
        removed = pdfium.FPDFFormObj_RemoveObject(item.form.raw, item.raw)
    if removed:
        pdfium.FPDFPageObj_Destroy(item.raw)
