"""Reads texts in which a line of its own form is a heading: AsciiDoc, LaTeX, Org, POD, manuals."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import escape_headings, first_heading, heading
from expertrag_index.loaders.registry import suffix_of
from expertrag_index.types import Document

_HEADINGS = {
    ".adoc": re.compile(r"(={1,6})[^\S\n]+(\S.*)"),
    ".org": re.compile(r"(\*{1,6})[^\S\n]+(\S.*)"),
    ".pod": re.compile(r"=head([1-6])[^\S\n]+(\S.*)"),
    ".tex": re.compile(r"\\((?:chapter|(?:sub){0,2}section|paragraph)\*?)\{(.*)\}[^\S\n]*"),
}
_MANUAL = re.compile(r"\.(SH|SS)[^\S\n]+\"?(.*?)\"?[^\S\n]*")
_LEVELS = {"chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "SH": 2, "SS": 3}
_FONT = re.compile(r"\\f(?:\[\w*\]|\(..|.)")
_REQUEST = re.compile(
    r"^\.(?:[A-Za-z]{1,2}[^\S\n]*$|(?:[BIR]|BI|BR|IB|IR|RB|RI|SB|SM)[^\S\n]+)|^[.']\\\".*$",
    re.MULTILINE,
)
"""What a manual's reader does not see: the requests for fonts and paragraphs, and comments."""
_ESCAPES = {r"\-": "-", r"\(aq": "'", r"\(bu": "\u2022", r"\&": "", r"\e": "\\", r"\ ": " "}


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read such a text as one document, as it is written but for its headings."""
    text = escape_headings(decode(file.read_bytes(), report=report))
    suffix = suffix_of(file.name).removesuffix(".gz")
    pattern = _HEADINGS.get(suffix, _MANUAL)
    if pattern is _MANUAL:
        text = _of_a_manual(text)
    lines = [_line(pattern, line) for line in text.split("\n")]
    text = require_text("\n".join(lines)).strip("\n")
    title = "" if pattern is _MANUAL else first_heading(text)
    yield document(file, FrontMatter(), title, text)


def _line(pattern: re.Pattern[str], line: str) -> str:
    match = pattern.fullmatch(line)
    if match is None:
        return line
    mark = match[1].rstrip("*") or match[1]
    level = int(mark) if mark.isdigit() else _LEVELS.get(mark, len(mark))
    return heading(level, match[2])


def _of_a_manual(text: str) -> str:
    """Drop the fonts and the escapes of roff; a text without them stays as it is."""
    text = _REQUEST.sub("", _FONT.sub("", text))
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text
