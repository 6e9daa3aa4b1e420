"""Reads texts in which a line of its own form is a heading: AsciiDoc, LaTeX, Org, POD, manuals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import normalize

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
_MANUAL = re.compile(r"\.(S[Hh]|S[Ss])[^\S\n]+\"?(.*?)\"?[^\S\n]*")
_LEVELS = {"chapter": 1, "section": 2, "subsection": 3, "subsubsection": 4, "SH": 2, "SS": 3}
_LEVELS |= {"Sh": 2, "Ss": 3}  # of mdoc, as BSD writes manuals
_ROFF = re.compile(r"^\.(?:TH|S[Hh]|Dd) ", re.MULTILINE)
_FONT = re.compile(r"\\f(?:\[\w*\]|\(..|.)")
_REQUEST = re.compile(
    r"^\.(?:[A-Za-z]{1,2}[^\S\n]*$|(?:[BIR]|BI|BR|IB|IR|RB|RI|SB|SM)[^\S\n]+)|^[.']\\\".*$",
    re.MULTILINE,
)
"""What a manual's reader does not see: the requests for fonts and paragraphs, and comments."""
_ESCAPE = re.compile(r"\\(?:\*?(?:\((..)|\[([^\]\n]+)\])|([-&e/|,^%: ]))")
_ACCENTS = dict(zip(":'`^~,o", "\u0308\u0301\u0300\u0302\u0303\u0327\u030a", strict=True))
_CHARACTERS = {
    "-": "-", "e": "\\", " ": " ", "Aq": "'", "aq": "'", "cq": "\u2019", "oq": "\u2018",
    "lq": "\u201c", "rq": "\u201d", "Bq": "\u201e", "bq": "\u201a", "Fo": "\xab", "Fc": "\xbb",
    "bu": "\u2022", "en": "\u2013", "em": "\u2014", "ss": "\xdf", "/l": "\u0142", "/L": "\u0141",
    "co": "\xa9", "rs": "\\", "ha": "^", "ti": "~", "dq": '"',
}  # fmt: skip


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read such a text as one document, as it is written but for its headings."""
    text = escape_headings(decode(file.read_bytes(), report=report))
    suffix = suffix_of(file.name).removesuffix(".gz")
    pattern = _HEADINGS.get(suffix, _MANUAL)
    if pattern is _MANUAL and _ROFF.search(text):  # not in app.log.1
        text = _ESCAPE.sub(_character, _REQUEST.sub("", _FONT.sub("", text)))
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


def _character(escape: re.Match[str]) -> str:
    """Return the character of an escape, such as a letter with its accent."""
    name = next(filter(None, escape.groups()))
    if known := _CHARACTERS.get(name):
        return known
    if len(name) == 2 and name[0] in _ACCENTS:
        return normalize("NFC", name[1] + _ACCENTS[name[0]])
    if re.fullmatch("u[0-9A-F]{4,5}", name):
        return chr(int(name[1:], 16))
    return ""
