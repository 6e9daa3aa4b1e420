"""Reads HTML and XHTML pages: the visible text, with headings, paragraphs, lists and code."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from expertrag_index.loaders.base import Report, SourceFile, note_hidden, require_text
from expertrag_index.loaders.chat_pages import MARK, messages_of_page
from expertrag_index.loaders.chats import conversations
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import first_heading
from expertrag_index.loaders.hidden_html import HtmlStyles
from expertrag_index.loaders.page_nodes import Element, Node, inside, nodes_of, text_in
from expertrag_index.loaders.page_text import PageText
from expertrag_index.types import Document

_CHARSET = re.compile(
    rb"(?:charset|encoding)\s*=\s*[\"']?\s*(utf-8|us-ascii|iso-8859-\d\d?|windows-125\d"
    rb"|latin-?1|koi8-[ru]|shift_jis|euc-jp|euc-kr|gb2312|gbk|gb18030|big5)\b",
    re.IGNORECASE,
)
_XHTML = re.compile(r"<\?xml\s|\bXHTML\b|\sxmlns\s*=")
_DECLARATION = re.compile(r"\A\s*<\?xml\s[^<>]*\?>")
_DECLARED_WITHIN = 1024  # bytes in which the HTML standard looks for the charset
_TITLE_NODES = 64  # entities may cut its text
_STANDARDS = re.compile(r"<!doctype\s+html(?:\s*>|[^>]*(?:strict|xhtml))", re.IGNORECASE)


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a page as one document; its title is ``<title>`` or the first heading."""
    data = file.read_bytes()
    name, messages = messages_of_page(data, report) if MARK in data else ("", [])
    if messages:
        yield from conversations(file, messages, FrontMatter(name))
        return
    hidden: Counter[str] = Counter()
    title, text = page_of(data, hidden, report=report)
    note_hidden(report, hidden)
    text = require_text(text, hidden)
    yield document(file, FrontMatter("", None, {}), title or first_heading(text), text)


def page_of(
    data: bytes,
    hidden: Counter[str],
    charset: str | None = None,
    report: Report | None = None,
) -> tuple[str, str]:
    """Return the title and the text of a page.

    :param hidden: counts the elements that are left out because a browser does not show them.
    :param charset: the encoding, if it is told outside the page.
    :param report: as in :func:`decode`.
    :raises Unreadable: as :func:`decode` does.
    """
    declared = _CHARSET.search(data, 0, _DECLARED_WITHIN)
    charset = charset or (declared and declared[1].decode().lower())
    page = _as_html(decode(data, charset, report))
    nodes = nodes_of(page)
    standards = _STANDARDS.search(page, 0, _DECLARED_WITHIN) is not None
    return _title_of(nodes), PageText(nodes, _styles_of(nodes, not standards), hidden).read()


def _title_of(nodes: Sequence[Node]) -> str:
    for node in nodes:
        if isinstance(node, Element) and node.name == "title":
            return " ".join(text_in(nodes, node, _TITLE_NODES).split())
    return ""


def _styles_of(nodes: Sequence[Node], quirks: bool) -> HtmlStyles:
    """Collect the style sheets of a page; those for pages without scripts are not applied."""
    sheets: list[tuple[str, str]] = []
    others = scripts = False
    position = 0
    while position < len(nodes):
        node = nodes[position]
        if isinstance(node, Element) and node.begin == position:
            scripts |= node.name == "script"
            others |= node.name == "link" and "stylesheet" in node.get("rel").lower()
            if node.name == "style":
                text = "".join(each for each in inside(nodes, node) if isinstance(each, str))
                sheets.append((text, node.get("media")))
            if node.name in ("noscript", "style"):
                position = node.end
        position += 1
    others |= any("@import" in sheet for sheet, _ in sheets)
    return HtmlStyles(sheets, others=others, scripts=scripts, quirks=quirks)


def _as_html(page: str) -> str:
    """Convert XHTML to HTML: the parser handles all but the declaration and CDATA sections.

    An XML parser would lose every ``&nbsp;`` and ``&uuml;``, which the page's DTD defines.
    """
    if _XHTML.search(page, 0, _DECLARED_WITHIN) is None:
        return page
    first, *sections = _DECLARATION.sub("", page, count=1).split("<![CDATA[")
    parts = [first]
    for section in sections:
        data, end, rest = section.partition("]]>")
        parts += [html.escape(data, quote=False), rest] if end else ["<![CDATA[", section]
    return "".join(parts)
