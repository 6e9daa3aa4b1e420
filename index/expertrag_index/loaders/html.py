"""Reads HTML and XHTML pages: the visible text, with headings, paragraphs, lists and code."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PreformattedString, Tag

from expertrag_index.loaders.base import Report, SourceFile, note_hidden, quiet, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import first_heading
from expertrag_index.loaders.hidden_html import Look, Styles, look_of, reason_hidden
from expertrag_index.types import Document

_DROPPED = re.compile("script|style|nav|noscript|template|svg|iframe|button|title")
_BLOCK = re.compile(
    "address|article|aside|blockquote|body|dd|details|div|dl|dt|figcaption|figure|footer|h[1-6]"
    "|header|hr|main|ol|p|pre|section|summary|table|ul"
)
_OPENINGS = {f"h{level}": f"\n\n{'#' * level} " for level in range(1, 7)}
_OPENINGS |= {"li": "\n- ", "tr": "\n", "td": " | ", "th": " | ", "br": "\n", "pre": "\n\n"}
_CHARSET = re.compile(
    rb"(?:charset|encoding)\s*=\s*[\"']?\s*(utf-8|utf-16|us-ascii|iso-8859-\d\d?|windows-125\d"
    rb"|latin-?1|koi8-[ru]|shift_jis|euc-jp|euc-kr|gb2312|gbk|gb18030|big5)\b",
    re.IGNORECASE,
)
_XHTML = re.compile(r"<\?xml\s|\bXHTML\b|\sxmlns\s*=")
_DECLARATION = re.compile(r"\A\s*<\?xml\s[^<>]*\?>")
_DECLARED_WITHIN = 1024  # bytes in which the HTML standard looks for the charset
_SPACE = re.compile(r"\s+")
_COMMENT = re.compile(r"^(?=#{1,6}\s)", re.MULTILINE)
_MARGINS = re.compile(r"[^\S\n]*\n[^\S\n]?(?:[^\S\n]*\n)+[^\S\n]?")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a page as one document; its title is ``<title>`` or the first heading."""
    hidden: Counter[str] = Counter()
    title, text = page_of(file.read_bytes(), hidden, report=report)
    text = require_text(text)
    note_hidden(report, hidden)
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
    # Not "html.parser": it takes 25 s for 80 kB of `<a b=`, in quadratic time; lxml takes 0.02 s.
    with quiet():
        soup = BeautifulSoup(page, "lxml")
    title = _SPACE.sub(" ", soup.title.get_text()).strip() if soup.title else ""
    return title, _text_of(soup, hidden)


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


def _text_of(soup: Tag, hidden: Counter[str]) -> str:
    """Write the text of a tree with an explicit stack: pages can nest deeper than Python's.

    :param hidden: counts the elements that are left out because a browser does not show them.
    """
    pieces: list[str] = []
    preformatted = 0
    styles = Styles(soup)
    stack: list[tuple[Tag, Iterator[object], Look]] = [(soup, iter(soup.children), styles.page)]
    while stack:
        tag, children, look = stack[-1]
        child = next(children, None)
        if child is None:
            preformatted -= tag.name == "pre"
            pieces.append(_closing(tag.name))
            stack.pop()
        elif isinstance(child, Tag) and not _DROPPED.fullmatch(child.name):
            own = styles.of(child)
            inner = look_of(own, look)
            if reason := reason_hidden(child, own, inner):
                hidden.update([reason] if child.get_text(strip=True) else [])
                continue
            preformatted += child.name == "pre"
            pieces.append(_OPENINGS.get(child.name) or _closing(child.name))
            stack.append((child, iter(child.children), inner))
        elif isinstance(child, NavigableString) and not isinstance(child, PreformattedString):
            # indent a comment in code, so that it is not a heading
            text = _COMMENT.sub(" ", child) if preformatted else _SPACE.sub(" ", child)
            pieces.append(text)
    return _MARGINS.sub("\n\n", "".join(pieces)).strip()


def _closing(name: str) -> str:
    return "\n\n" if _BLOCK.fullmatch(name) else ""
