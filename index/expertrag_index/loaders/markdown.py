"""Reads Markdown files: drops link targets, comments and bold marks, keeps code verbatim."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.cells import with_captions
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import document, split_front_matter
from expertrag_index.loaders.headings import first_heading, mark_headings
from expertrag_index.loaders.markdown_code import set_aside
from expertrag_index.loaders.plain import read_chat
from expertrag_index.loaders.tables_markdown import with_named_rows
from expertrag_index.loaders.verbatim import Verbatim
from expertrag_index.types import Document

_LABEL = r"\[((?:[^\[\]\n\\]|\\.)++)\]"
_TITLE = r"(?:\"[^\"\n]*+\"|'[^'\n]*+'|\([^()\n]*+\))"
_DEFINITION = re.compile(
    rf"^[^\S\n]{{0,3}}(?!\[\^){_LABEL}:[^\S\n]*+(<[^<>\n]*+>|\S++)(?:[^\S\n]++{_TITLE})?[^\S\n]*+$",
    re.MULTILINE,
)
"""A link target, ``[label]: address "title"``."""
_ADDRESS = re.compile(r"<.*>|[a-z][a-z\d+.-]*:\S+|[/#.?~]\S*|\S*/\S*|\S+\.\w+(?:#\S*)?", re.I)
_LINK = re.compile(
    r"(?<!\\)!?\[([^\[\]]*+)\]"
    rf"(?:\([^\S\n]*(?:<[^<>\n]*+>|(?:[^()\s]|\([^()\s]*+\))*+)(?:\s++{_TITLE})?[^\S\n]*\)"
    r"|\[([^\[\]\n]*+)\])"
)
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^<>\s]+)>")
_BOLD = re.compile(r"(?<![A-Za-z0-9)\]])\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?![A-Za-z0-9(\[])")
_TAG = re.compile(
    r"</?(?:a|b|br|center|code|details|div|em|h[1-6]|hr|i|kbd|li|ol|p|pre|span|strong|sub"
    r"|summary|sup|table|tbody|td|th|thead|tr|u|ul)(?:[^\S\n][^<>\n]*)?/?>",
    re.IGNORECASE,
)
_PICTURE = re.compile(r"<img\b([^<>]*+)>", re.IGNORECASE)
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a Markdown file as one document."""
    matter, text = split_front_matter(decode(file.read_bytes(), report=report), report)
    if chat := read_chat(file, matter, text):
        yield from chat
        return
    heading, text = readable(text)
    text = require_text(matter.above(text)).strip("\n")
    yield document(file, matter, heading, text)


def readable(text: str) -> tuple[str, str]:
    """Return the first heading of a Markdown text, and the text without marks and targets."""
    code = Verbatim()
    prose = mark_headings(set_aside(text, code))
    labels = {
        _normal(match[1]) for match in _DEFINITION.finditer(prose) if _ADDRESS.fullmatch(match[2])
    }
    prose = _DEFINITION.sub(lambda match: "" if _normal(match[1]) in labels else match[0], prose)

    def text_of_link(match: re.Match[str]) -> str:
        is_link = match[2] is None or _normal(match[2] or match[1]) in labels
        return match[1] if is_link else match[0]

    prose = _LINK.sub(text_of_link, _LINK.sub(text_of_link, prose))  # twice: a picture in a link
    prose = _PICTURE.sub(_alternative, _BOLD.sub(r"\1", _AUTOLINK.sub(r"\1", prose)))
    prose = with_captions(with_named_rows(_TAG.sub("", prose)))
    return code.restore(first_heading(prose)), code.restore(prose)


def _normal(label: str) -> str:
    return " ".join(label.casefold().split())


def _alternative(picture: re.Match[str]) -> str:
    alt = _ALT.search(picture[1])
    return (alt[1] or alt[2] or "") if alt else ""
