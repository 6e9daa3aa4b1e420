"""Reads source code and configuration: verbatim, in a section for each definition.

Definitions are found by their first line, at the left margin or one level deeper. That is right for
code that is laid out as usual; what is not recognised stays in the section before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.definitions import LANGUAGES, least_of, pattern_of
from expertrag_index.loaders.frontmatter import FrontMatter, document
from expertrag_index.loaders.headings import heading
from expertrag_index.loaders.registry import suffix_of
from expertrag_index.loaders.verbatim import fence_code
from expertrag_index.types import Document

_BELONGS_TO_NEXT = re.compile(r"\s*(?:@[\w.]|#(?!include|define)|//|--|/?\*|\[\w.*\]$)")
"""A line of a comment, a decorator, an annotation or an attribute."""
_COMMENT = re.compile(r"\s(?:#|//|--)")
_LONGEST_NAME = 100


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a file of code as one document, whose title is its name."""
    text = require_text(decode(file.read_bytes(), report=report)).strip("\n")
    suffix = suffix_of(file.name)
    language = LANGUAGES[suffix]
    parts = []
    for level, name, code in _sections(text, pattern_of(suffix), least_of(language)):
        title = [heading(level, name)] if name else []
        parts += ["\n".join([*title, fence_code(code, language)])]
    name = file.id.rpartition("/")[2]
    yield document(
        file, FrontMatter(name, None, {"programming_language": language}), "", "\n\n".join(parts)
    )


def _sections(
    text: str, definition: re.Pattern[str] | None, least: int
) -> Iterator[tuple[int, str, str]]:
    """Yield level, name and code of each definition; what comes before the first has no name.

    :param least: characters of a section; a definition below a smaller one belongs to it.
    """
    lines = text.split("\n")
    starts: list[tuple[int, int, str]] = [(0, 0, "")]
    length = 0
    for number, line in enumerate(lines):
        length += len(line) + 1
        match = definition.match(line) if definition else None
        if match is None or length - len(line) <= least:
            continue
        first = number
        while first > starts[-1][0] and _BELONGS_TO_NEXT.match(lines[first - 1]):
            first -= 1
        name = " ".join(_COMMENT.split(line, maxsplit=1)[0].split())
        name = name.rstrip(" {:(=;,")[:_LONGEST_NAME]
        length = len(line) + 1
        starts.append((first, 3 if line[0].isspace() else 2, name))
    ends = [first for first, *_ in starts[1:]] + [len(lines)]
    for (first, level, name), end in zip(starts, ends, strict=True):
        code = "\n".join(lines[first:end]).strip("\n")
        if code.strip():
            yield level, name, code
