"""The same table written in each format, by the libraries of these formats."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from docx import Document as open_docx
from index.conftest import load_whole, zip_of
from index.loaders.test_odf import odf, p
from openpyxl import Workbook
from pptx import Presentation
from pptx.util import Inches

Rows = Sequence[Sequence[str]]


def _saved(made: Any) -> bytes:
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def docx(rows: Rows) -> bytes:
    word: Any = open_docx()
    table = word.add_table(len(rows), len(rows[0]))
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.cell(number, column).text = text
    return _saved(word)


def pptx(rows: Rows) -> bytes:
    deck: Any = Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[6])
    box = (Inches(1), Inches(1), Inches(6), Inches(2))
    table = slide.shapes.add_table(len(rows), len(rows[0]), *box).table
    for number, row in enumerate(rows):
        for column, text in enumerate(row):
            table.cell(number, column).text = text
    return _saved(deck)


def xlsx(rows: Rows) -> bytes:
    book: Any = Workbook()
    for row in rows:
        book.active.append(row)
    return _saved(book)


def html(rows: Rows) -> bytes:
    head, *body = rows
    lines = ["".join(f"<th>{text}</th>" for text in head)]
    lines += ["".join(f"<td>{text}</td>" for text in row) for row in body]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>".encode()


def md(rows: Rows) -> bytes:
    head, *body = rows
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines).encode()


def rst(rows: Rows) -> bytes:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    border = "  ".join("=" * width for width in widths)
    head, *body = (
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join([border, head, border, *body, border, ""]).encode()


def grid(rows: Rows) -> bytes:
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = [f"+{'+'.join('-' * (width + 2) for width in widths)}+"]
    for number, row in enumerate(rows):
        texts = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        lines += [f"| {' | '.join(texts)} |", lines[0] if number else lines[0].replace("-", "=")]
    return "\n".join([*lines, ""]).encode()


def list_table(rows: Rows) -> bytes:
    items = ("\n".join(f"{'  ' if at else '* '}- {text}" for at, text in enumerate(row))
             for row in rows)  # fmt: skip
    content = "\n".join(items).replace("\n", "\n   ")
    return f".. list-table::\n   :header-rows: 1\n\n   {content}\n".encode()


def odt(rows: Rows) -> bytes:
    lines = [
        "".join(f"<table:table-cell>{p(text)}</table:table-cell>" for text in row) for row in rows
    ]
    table = "".join(f"<table:table-row>{line}</table:table-row>" for line in lines)
    return zip_of(odf("text", f"<table:table>{table}</table:table>"))


FORMATS: dict[str, tuple[str, Callable[[Rows], bytes]]] = {
    "Word": ("a.docx", docx),
    "PowerPoint": ("a.pptx", pptx),
    "Excel": ("a.xlsx", xlsx),
    "HTML": ("a.html", html),
    "Markdown": ("a.md", md),
    "reST, simple": ("a.rst", rst),
    "reST, grid": ("a.rst", grid),
    "reST, list": ("a.rst", list_table),
    "OpenDocument": ("a.odt", odt),
}


def text_of(tmp_path: Path, name: str, content: bytes) -> str:
    """The text of a file with a table, without the title of a sheet."""
    (tmp_path / name).write_bytes(content)
    (document,) = load_whole(tmp_path / name)
    return document.text.removeprefix("# Sheet\n\n").strip()
