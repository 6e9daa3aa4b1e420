"""Reads reStructuredText files: keeps the text, drops the markup, by rules.

Not docutils: it knows no role or directive of Sphinx, and drops the text of those it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.cells import with_captions
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import document, split_front_matter
from expertrag_index.loaders.headings import escape_headings, first_heading, mark_headings
from expertrag_index.loaders.rst_blocks import replacements, without_markup
from expertrag_index.loaders.verbatim import Verbatim
from expertrag_index.types import Document

_LITERAL = re.compile(r"(?<![\w`])``(?=\S)((?:[^\n]|\n(?!\s*\n)){1,500}?)(?<=\S)``(?!`)")
_ROLE = re.compile(r":([\w+.-]+(?::[\w+.-]+)?):`([^`]*)`(?!`)")
_TITLE_OF_ROLE = re.compile(r"[!~]?(.+?)\s*(?<!\\)<[^<>]*>", re.DOTALL)
_AS_WRITTEN = re.compile("abbr|code|command|eq|file|guilabel|kbd|literal|math|option|program|samp")
"""Roles whose text may hold ``<`` and ``!`` of its own."""
_LINK = re.compile(r"`([^`<>]+?)(?:\s*<[^`<>]*>)?`__?(?![\w`])")
_BOLD = re.compile(r"(?<![\w*\\])\*\*(?=\S)([^*]+)(?<=\S)\*\*(?![\w*])")
_ESCAPE = re.compile(r"\\(?:\s|(\S))")
_BLANK_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")
_SUBSTITUTION = re.compile(r"\|([^|\s][^|\n]*)\|(?:__?\b)?")


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a reST file as one document."""
    matter, text = split_front_matter(decode(file.read_bytes(), report=report), report)
    code = Verbatim()
    lines = text.expandtabs().split("\n")
    text = escape_headings("\n".join(without_markup(lines, code)))
    text = _inline(mark_headings(text, None), replacements(lines), code)
    text = with_captions(_BLANK_LINES.sub("\n\n", text))
    heading, text = code.restore(first_heading(text)), code.restore(text).strip("\n")
    yield document(file, matter, heading, require_text(matter.above(text)))


def _inline(text: str, replaced: dict[str, str], code: Verbatim) -> str:
    text = _SUBSTITUTION.sub(lambda match: replaced.get(match[1], match[0]), text)
    text = _LITERAL.sub(lambda match: code.inline(f"`{match[1]}`"), text)
    text = _ROLE.sub(lambda match: code.inline(_write_role(match[1], match[2])), text)
    text = _BOLD.sub(r"\1", _LINK.sub(r"\1", text))
    return _ESCAPE.sub(lambda match: match[1] or "", text)


def _write_role(role: str, text: str) -> str:
    if _AS_WRITTEN.fullmatch(role.rpartition(":")[2]):
        return text
    title = _TITLE_OF_ROLE.fullmatch(text)
    return title[1] if title else text.lstrip("!~")
