"""Reads reStructuredText files: keeps the text, drops the markup, by rules."""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import document, split_front_matter
from expertrag_index.loaders.headings import first_heading, mark_headings
from expertrag_index.types import Document

_EXPLICIT = re.compile(r"(\s*)\.\.(?:\s+(.*))?")
_DIRECTIVE = re.compile(r"(?:\|[^|]*\| )?([\w:.-]+)::\s*(.*)")
_OPTION = re.compile(r"\s*:[\w -]+:(?:\s.*)?")
_DROPPED = re.compile(
    "contents|currentmodule|highlight|image|include|index|meta|module|moduleauthor|raw|replace"
    "|role|sectionauthor|tabularcolumns|testsetup|toctree"
)
_CODE = re.compile("code|code-block|literalinclude|parsed-literal|sourcecode")
_ROLE = re.compile(r":[\w+.-]+(?::[\w+.-]+)?:`([^`\n]*)`")
_TARGET_OF_ROLE = re.compile(r"[!~]?([^<>`]*?)\s*<[^<>`]*>")
_LINK = re.compile(r"`([^`<>\n]+?)(?:\s*<[^`<>\n]*>)?`__?")
_LITERAL = re.compile(r"``([^`\n]+)``")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a reST file as one document."""
    matter, text = split_front_matter(decode(file.read_bytes(), report=report))
    text = mark_headings("\n".join(_kept(text.expandtabs().split("\n"))), None)
    text = require_text(_inline(text)).strip("\n")
    yield document(file, matter, first_heading(text), text)


def _kept(lines: list[str]) -> Iterator[str]:
    """Drop comments, link targets, and directives without text of their own."""
    dropping: int | None = None  # the indent below which a dropped block ends
    in_options = False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if dropping is not None and (not line.strip() or indent > dropping):
            continue
        dropping = None
        explicit = _EXPLICIT.fullmatch(line)
        if explicit is None:
            in_options = in_options and _OPTION.fullmatch(line) is not None
            if not in_options:
                yield line
            continue
        directive = _DIRECTIVE.fullmatch(explicit[2] or "")
        if directive is None or _DROPPED.fullmatch(directive[1]):
            dropping = indent
        else:
            in_options = True
            yield "" if _CODE.fullmatch(directive[1]) else f"{explicit[1]}{directive[2]}"


def _inline(text: str) -> str:
    text = _ROLE.sub(lambda match: _TARGET_OF_ROLE.sub(r"\1", match[1]).lstrip("!~"), text)
    text = _LINK.sub(r"\1", _LITERAL.sub(r"`\1`", text))
    return text.replace("**", "").replace("::\n", ":\n")
