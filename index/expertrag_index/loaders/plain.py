"""Reads plain text files, and logs."""

from __future__ import annotations

from collections.abc import Iterator

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import document, split_front_matter
from expertrag_index.loaders.headings import escape_headings, first_heading, mark_headings
from expertrag_index.types import Document


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a text file as one document; an underlined title in its first lines is its title.

    Only underlined lines are headings: ``# `` begins a comment, or what root types.
    """
    matter, text = split_front_matter(decode(file.read_bytes(), report=report), report)
    text = mark_headings(escape_headings(text).strip("\n"), None)
    opening = "\n".join(text.split("\n", 3)[:3])
    yield document(file, matter, first_heading(opening), require_text(matter.above(text)))
