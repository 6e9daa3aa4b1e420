"""Reads Markdown files: drops link targets, comments and bold marks, keeps code verbatim."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import document, split_front_matter
from expertrag_index.loaders.headings import first_heading, mark_headings
from expertrag_index.types import Document

_FENCE = re.compile(r"[^\S\n]{0,3}(`{3,}|~{3,})")
_LINK = re.compile(r"!?\[([^\[\]\n]*)\](?:\([^()\s]*(?:[^\S\n]+\"[^\"\n]*\")?\)|\[[^\[\]\n]*\])")
_TARGET = re.compile(r"^[^\S\n]{0,3}\[[^\[\]\n]+\]:[^\S\n]+\S+.*$", re.MULTILINE)
_AUTOLINK = re.compile(r"<((?:https?|mailto):[^<>\s]+)>")
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+)(?<=\S)\*\*")
_TAG = re.compile(
    r"</?(?:a|b|br|center|code|details|div|em|h[1-6]|hr|i|img|kbd|li|ol|p|pre|span|strong|sub"
    r"|summary|sup|table|tbody|td|th|thead|tr|u|ul)(?:[^\S\n][^<>\n]*)?/?>",
    re.IGNORECASE,
)


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a Markdown file as one document."""
    matter, text = split_front_matter(decode(file.read_bytes(), report=report))
    blocks = [block if is_code else _readable(block) for is_code, block in _blocks(text)]
    prose = "\n".join(block for block in blocks if not _FENCE.match(block))
    text = require_text("\n".join(blocks)).strip("\n")
    yield document(file, matter, first_heading(prose), text)


def _blocks(text: str) -> Iterator[tuple[bool, str]]:
    """Separate fenced code, fences included, from the rest."""
    block: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE.match(line)
        if mark and not fence:
            yield False, "\n".join(block)
            block, fence = [line], mark[1]
        elif mark and mark[1].startswith(fence):
            yield True, "\n".join([*block, line])
            block, fence = [], ""
        else:
            block.append(line)
    yield bool(fence), "\n".join(block)


def _readable(text: str) -> str:
    text = mark_headings(_without_comments(text))
    text = _LINK.sub(r"\1", _LINK.sub(r"\1", text))  # twice: an image inside a link
    for pattern, kept in ((_TARGET, ""), (_AUTOLINK, r"\1"), (_BOLD, r"\1"), (_TAG, "")):
        text = pattern.sub(kept, text)
    return text


def _without_comments(text: str) -> str:
    kept: list[str] = []
    start = 0
    while (opening := text.find("<!--", start)) >= 0:
        closing = text.find("-->", opening + 4)
        if closing < 0:  # a regular expression would search again from every other opening
            break
        kept.append(text[start:opening])
        start = closing + 3
    return "".join(kept) + text[start:]
