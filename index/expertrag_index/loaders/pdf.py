"""Reads PDF files: the text layer, page by page."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pypdfium2.raw as pdfium
from pypdfium2 import PdfDocument, PdfiumError

from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    note_hidden,
    quiet,
    too_large,
)
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import escape_headings
from expertrag_index.loaders.hidden_pdf import page_text, with_annotations
from expertrag_index.loaders.hyphens import join_broken_words
from expertrag_index.loaders.ocr import recognise
from expertrag_index.loaders.pages import join_pages
from expertrag_index.loaders.stamps import last_change
from expertrag_index.loaders.tables_pdf import PdfTables
from expertrag_index.types import Document

logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)

_HYPHEN = "\ufffe"
"""PDFium's sign for a hyphen at the end of a line, instead of the line break."""
_NO_PDF = ("not a readable PDF", "open it and save it again, or convert it to text")
_SCANNED = ("the PDF has no text; scanned?", "use --ocr, or run: ocrmypdf IN.pdf OUT.pdf")
_BLANK = ("the PDF has no text, and none was recognised", "scan it again with more contrast")
_ENCRYPTED = ("the PDF is encrypted", "remove its password: qpdf --decrypt IN.pdf OUT.pdf")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a PDF as one document with pages; they, author and last change become metadata."""
    data = file.read_bytes()
    hidden: Counter[str] = Counter()
    try:
        with quiet():
            pages, title, declared = _extract(data, file, hidden, report)
    except Unreadable:
        raise
    except Exception as error:
        if isinstance(error, PdfiumError) and error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise Unreadable(*_ENCRYPTED) from None
        raise Unreadable(f"{_NO_PDF[0]} ({type(error).__name__})", _NO_PDF[1]) from None
    note_hidden(report, hidden)
    text, starts = join_pages([escape_headings(page) for page in pages])
    if not text:
        raise Unreadable(*(_BLANK if file.ocr else _SCANNED))
    metadata: dict[str, str | int] = {"pages": len(pages), **declared}
    made = document(file, FrontMatter(title, None, metadata), "", text)
    yield replace(made, page_starts=starts)


def _extract(
    data: bytes, file: SourceFile, hidden: Counter[str], report: Report
) -> tuple[list[str], str, dict[str, str]]:
    pages: list[str] = []
    size = 0
    tables = PdfTables()
    with PdfDocument(data) as book:
        book.init_forms()  # draws the values of fields that have no drawing yet
        for number in range(len(book)):
            try:
                page = with_annotations(book, number)
            except PdfiumError:
                report(f"page {number + 1} is damaged", _NO_PDF[1])
                pages.append("")
                continue
            pages.append(_clean(page_text(page, hidden, tables)))
            if file.ocr and not pages[-1]:
                pages[-1] = recognise(page)
            page.close()
            size += len(pages[-1])
            if size > file.max_bytes:
                raise too_large("the text of the PDF", file.max_bytes)
        title = _clean(book.get_metadata_value("Title"))
        declared = _read_properties(book)
    return join_broken_words(pages), title, declared


def _read_properties(book: PdfDocument) -> dict[str, str]:
    """Return the author and the last change that the file declares."""
    modified, created = map(book.get_metadata_value, ("ModDate", "CreationDate"))
    author = _clean(book.get_metadata_value("Author"))
    declared = {"author": author, "modified": last_change(modified, created)}
    return {name: value for name, value in declared.items() if value}


def _clean(text: str) -> str:
    """Clean up NUL and surrogates, from fonts without a map, and PDFium's signs."""
    text = text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = text.replace("\r\n", "\n").replace("\x02", _HYPHEN)
    lines = text.replace(_HYPHEN, "-\n").replace("\uffff", "").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()
