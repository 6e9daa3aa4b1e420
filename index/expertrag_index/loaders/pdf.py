"""Reads PDF files: the text layer, page by page."""

from __future__ import annotations

import io
import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError

from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    note_hidden,
    quiet,
    too_large,
)
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.hidden_pdf import page_text
from expertrag_index.loaders.pages import joined
from expertrag_index.types import Document

logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the document

_BROKEN_WORD = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_NO_PDF = ("not a readable PDF", "open it and save it again, or convert it to text")
_ENCRYPTED = ("the PDF is encrypted", "remove its password: qpdf --decrypt IN.pdf OUT.pdf")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a PDF as one document with pages; ``pages`` and ``author`` become metadata."""
    data = file.read_bytes()
    hidden: Counter[str] = Counter()
    try:
        with quiet():
            pages, title, author = _extract(data, file.max_bytes, hidden)
    except Unreadable:
        raise
    except DependencyError:  # AES needs a package that the parser does not install
        raise Unreadable(*_ENCRYPTED) from None
    except Exception as error:  # hostile files make the parser raise anything, even RecursionError
        raise Unreadable(f"{_NO_PDF[0]} ({type(error).__name__})", _NO_PDF[1]) from None
    note_hidden(report, hidden)
    text, starts = joined(pages)
    if not text:
        raise Unreadable("the PDF has no text layer (scanned?)", "run: ocrmypdf IN.pdf OUT.pdf")
    metadata: dict[str, str | int] = {"pages": len(pages)}
    if author:
        metadata["author"] = author
    made = document(file, FrontMatter(title, None, metadata), "", text)
    yield replace(made, page_starts=starts)


def _extract(data: bytes, max_bytes: int, hidden: Counter[str]) -> tuple[list[str], str, str]:
    reader = PdfReader(io.BytesIO(data))
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise Unreadable(*_ENCRYPTED)
    pages: list[str] = []
    size = 0
    for page in reader.pages:
        pages.append(_clean(page_text(page, hidden)))
        size += len(pages[-1])
        if size > max_bytes:
            raise too_large("the text of the PDF", max_bytes)
    info = reader.metadata
    if info is None:
        return pages, "", ""
    return pages, _clean(str(info.title or "")), _clean(str(info.author or ""))


def _clean(text: str) -> str:
    """Join words broken across lines; clean up NUL and surrogates, from fonts without a map."""
    text = text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _BROKEN_WORD.sub("", text).strip()
