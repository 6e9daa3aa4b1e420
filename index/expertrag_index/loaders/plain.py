"""Reads plain text files, logs, and chats that are exported as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from expertrag_index.loaders.base import Report, SourceFile, require_text
from expertrag_index.loaders.chat_lines import messages_in
from expertrag_index.loaders.chats import conversations
from expertrag_index.loaders.decode import decode
from expertrag_index.loaders.frontmatter import FrontMatter, document, split_front_matter
from expertrag_index.loaders.headings import escape_headings, first_heading, mark_headings
from expertrag_index.types import Document


def read(file: SourceFile, report: Report) -> Iterator[Document]:
    """Read a text file as one document; an underlined title in its first lines is its title.

    Only underlined lines are headings: ``# `` begins a comment, or what root types.
    """
    matter, text = split_front_matter(decode(file.read_bytes(), report=report), report)
    if chat := read_chat(file, matter, text):
        yield from chat
        return
    text = mark_headings(escape_headings(text).strip("\n"), None)
    opening = "\n".join(text.split("\n", 3)[:3])
    yield document(file, matter, first_heading(opening), require_text(matter.above(text)))


def read_chat(file: SourceFile, matter: FrontMatter, text: str) -> list[Document]:
    """Read a text as a conversation; empty if it is not one."""
    above, messages = messages_in(text) if ".log" not in file.name.lower() else ("", [])
    lines = "\n".join(filter(None, (matter.lines, above)))
    return list(conversations(file, messages, replace(matter, lines=lines)))
