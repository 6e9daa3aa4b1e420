"""Reads Word files: paragraphs, headings, lists and tables in order."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from docx import Document as open_docx
from docx.table import Table, _Cell

from expertrag_index.loaders.base import (
    Report,
    SourceFile,
    Unreadable,
    note_hidden,
    quiet,
    require_text,
    too_large,
)
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import first_heading, heading
from expertrag_index.loaders.hidden_docx import remove_hidden
from expertrag_index.types import Document

_LEVEL = re.compile(r"Heading (\d)")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a Word file as one document; its title is the title property, else the first heading."""
    data = file.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked_bytes = sum(entry.file_size for entry in archive.infolist())
        if unpacked_bytes > file.max_bytes:  # zipfile rejects members larger than declared
            raise too_large("the unpacked file", file.max_bytes)
        with quiet():
            word = open_docx(io.BytesIO(data))
            hidden = remove_hidden(word)
            text = "\n\n".join(filter(None, map(_block, word.iter_inner_content())))
        title, author = word.core_properties.title.strip(), word.core_properties.author.strip()
    except Unreadable:
        raise
    except Exception as error:  # hostile files make the parsers raise anything
        reason = f"not a readable DOCX ({type(error).__name__})"
        raise Unreadable(reason, "open it and save it again as .docx, or convert it") from None
    note_hidden(report, hidden)
    matter = FrontMatter(title, None, {"author": author} if author else {})
    yield document(file, matter, first_heading(text), require_text(text))


def _block(block: Any) -> str:
    if isinstance(block, Table):
        return "\n".join(_rows(block))
    text: str = block.text.strip()
    style = str(block.style.name) if block.style is not None else ""
    level = _LEVEL.match(style)
    if text and (level or style == "Title"):
        return heading(int(level[1]) if level else 1, text)
    return f"- {text}" if text and style.startswith("List") else text


def _rows(table: Table) -> Iterator[str]:
    """Write the cells that the file has, a line for each row.

    A cell over several rows is in each of them, one over several columns is in the row once:
    python-docx would repeat it as often as it claims to span, a hundred million times if asked.
    """
    above: dict[int, str] = {}
    for row in table.rows:
        texts, column = [], 0
        for cell in row._tr.tc_lst:
            goes_on = cell.vMerge == "continue"
            text = above.get(column, "") if goes_on else _flat(_Cell(cell, table).text)
            above[column] = text
            column += cell.grid_span
            texts.append(text)
        yield " | ".join(texts)


def _flat(text: str) -> str:
    return " ".join(text.split())
