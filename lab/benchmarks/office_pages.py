"""Write PDF, HTML, OpenDocument and notebook files of the office share from its markup."""

from __future__ import annotations

import html
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from fpdf import FPDF
from fpdf.enums import TableSpan, XPos, YPos
from fpdf.fonts import FontFace
from office_markup import ABOVE, LEFT, Block, Kind

Meta = Mapping[str, str]
_SPANS = {LEFT: TableSpan.COL, ABOVE: TableSpan.ROW}
_LATIN = str.maketrans({"€": "EUR "})
_EPOCH = (1980, 1, 1, 0, 0, 0)


class _Page(FPDF):
    """Pages with a running header and numbered footer."""

    def __init__(self, meta: Meta) -> None:
        super().__init__()
        self._meta = meta

    def header(self) -> None:
        """Draw the running header."""
        self._small(self._meta.get("header", ""))
        self.ln(8)

    def footer(self) -> None:
        """Draw the footer with the number of the page."""
        self.set_y(-15)
        self._small(f"{self._meta.get('footer', '')}  Page {self.page_no()}".strip())

    def _small(self, text: str) -> None:
        self.set_font("Helvetica", "I", 8)
        self.cell(0, 6, _latin(text))


def pdf(meta: Meta, content: Sequence[Block]) -> bytes:
    """Write a PDF file with ruled tables."""
    document = _Page(meta)
    document.set_creation_date(datetime.fromisoformat(meta["date"]).replace(tzinfo=UTC))
    document.set_title(_latin(meta.get("title", "")))
    document.set_author(meta.get("author", "Office"))
    document.add_page()
    for block in content:
        _draw(document, block)
    return bytes(document.output())


def _draw(document: _Page, block: Block) -> None:
    if block.text == "<page>":
        document.add_page()
        return
    heading, prefix = block.kind is Kind.HEADING, "- " if block.kind is Kind.BULLET else ""
    if block.text:
        size = max(11, 18 - 3 * block.level) if heading else 10
        document.set_font("Helvetica", "B" if heading else "", size)
        text = _latin(prefix + block.text.replace("**", ""))
        document.multi_cell(0, 5.5, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        document.ln(1.5)
    if block.kind is Kind.TABLE:
        document.set_font("Helvetica", "", 9)
        face = FontFace(emphasis="BOLD")
        with document.table(
            num_heading_rows=block.headers, headings_style=face, line_height=5, text_align="LEFT"
        ) as table:
            for line in block.grid:
                row = table.row()
                for text in line:
                    # fpdf2 types only texts, but takes spans
                    row.cell(_SPANS.get(text) or _latin(text))  # type: ignore[arg-type]
        document.ln(3)


def _latin(text: str) -> str:
    """Replace what the standard fonts of PDF lack."""
    return text.translate(_LATIN)


def page(meta: Meta, content: Sequence[Block]) -> bytes:
    """Write a page of an intranet: navigation, content, footer."""
    title = html.escape(meta.get("title", ""))
    described = f'<meta name="author" content="{html.escape(meta.get("author", ""))}">'
    body = "\n".join(_lists([_element(block) for block in content]))
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>\n'
        f'{described}<meta name="date" content="{meta["date"]}">\n'
        "<style>body{font-family:sans-serif} td,th{border:1px solid #999}</style></head>\n"
        '<body><nav><a href="/">Intranet</a> | <a href="/people">People</a> | '
        '<a href="/search">Search</a></nav>\n'
        f"<main>\n{body}\n</main>\n<footer>{html.escape(meta.get('footer', ''))}</footer>\n"
        "</body></html>\n"
    ).encode()


def _lists(elements: Sequence[str]) -> list[str]:
    """Open and close the lists around their items."""
    result: list[str] = []
    inside = False
    for element in [*elements, ""]:
        item = element.startswith("<li>")
        if item != inside:
            result.append("<ul>" if item else "</ul>")
            inside = item
        result.append(element)
    return result


def _element(block: Block) -> str:
    text = html.escape(block.text)
    match block.kind:
        case Kind.HEADING:
            return f"<h{block.level}>{text}</h{block.level}>"
        case Kind.BULLET | Kind.NUMBERED:
            return f"<li>{text}</li>"
        case Kind.CODE:
            return f"<pre>{text}</pre>"
        case Kind.TABLE:
            return _html_table(block)
        case _:
            return f"<p>{text}</p>"


def _html_table(block: Block) -> str:
    lines = [f"<table><caption>{html.escape(block.text)}</caption>"]
    rows: list[list[str]] = [[] for _ in block.grid]
    for cell in block.cells():
        tag = "th" if cell.row < block.headers else "td"
        spans = "".join(
            f' {name}="{count}"'
            for name, count in (("rowspan", cell.rows), ("colspan", cell.columns))
            if count > 1
        )
        rows[cell.row].append(f"<{tag}{spans}>{html.escape(cell.text)}</{tag}>")
    lines += [f"<tr>{''.join(row)}</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])


_ODF = "urn:oasis:names:tc:opendocument:xmlns:"
_NAMES = (
    f'xmlns:office="{_ODF}office:1.0" xmlns:text="{_ODF}text:1.0" '
    f'xmlns:table="{_ODF}table:1.0" xmlns:meta="{_ODF}meta:1.0" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.2"'
)
_TYPE = "application/vnd.oasis.opendocument.text"


def odt(meta: Meta, content: Sequence[Block]) -> bytes:
    """Write an OpenDocument text."""
    body = "".join(map(_odf_element, content))
    described = (
        f"<dc:title>{escape(meta.get('title', ''))}</dc:title>"
        f"<dc:creator>{escape(meta.get('author', 'Office'))}</dc:creator>"
        f"<dc:date>{meta['date']}T09:00:00</dc:date>"
    )
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{kind}"/>'
        for path, kind in (("/", _TYPE), ("content.xml", "text/xml"), ("meta.xml", "text/xml"))
    )
    parts = {
        "mimetype": _TYPE,
        "content.xml": f"<office:document-content {_NAMES}><office:body><office:text>{body}"
        "</office:text></office:body></office:document-content>",
        "meta.xml": f"<office:document-meta {_NAMES}><office:meta>{described}</office:meta>"
        "</office:document-meta>",
        "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{_ODF}manifest:1.0" '
        f'manifest:version="1.2">{entries}</manifest:manifest>',
    }
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w") as archive:
        for name, text in parts.items():
            head = "" if name == "mimetype" else '<?xml version="1.0" encoding="UTF-8"?>\n'
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), head + text)
    return result.getvalue()


def _odf_element(block: Block) -> str:
    text = f"<text:p>{escape(block.text)}</text:p>" if block.text else ""
    match block.kind:
        case Kind.HEADING:
            return f'<text:h text:outline-level="{block.level}">{escape(block.text)}</text:h>'
        case Kind.BULLET | Kind.NUMBERED:
            return f"<text:list><text:list-item>{text}</text:list-item></text:list>"
        case Kind.TABLE:
            rows = "".join(
                "<table:table-row>"
                + "".join(
                    f"<table:table-cell><text:p>{escape(cell)}</text:p></table:table-cell>"
                    for cell in line
                )
                + "</table:table-row>"
                for line in block.grid
            )
            columns = f'<table:table-column table:number-columns-repeated="{len(block.grid[0])}"/>'
            return f"{text}<table:table>{columns}{rows}</table:table>"
        case _:
            return text


def notebook(content: Sequence[Block]) -> bytes:
    """Write a notebook: code and everything else, a cell for each block."""
    cells: list[dict[str, object]] = []
    for block in content:
        if block.kind is Kind.CODE:
            code, _, printed = block.text.partition("\n>>>\n")
            output = {"output_type": "stream", "name": "stdout", "text": [printed]}
            cells.append(
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "metadata": {},
                    "outputs": [output] if printed else [],
                    "source": code.splitlines(keepends=True),
                }
            )
        else:
            text = f"{'#' * block.level} {block.text}".strip()
            cells.append({"cell_type": "markdown", "metadata": {}, "source": [text]})
    body = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}
    return (json.dumps(body, indent=1, ensure_ascii=False) + "\n").encode()
