"""Writes the tables of Markdown texts with the names of their columns in each row."""

from __future__ import annotations

import re

from expertrag_index.loaders.cells import write_table
from expertrag_index.loaders.columns import TableCell
from expertrag_index.loaders.headings import escape_headings

_DELIMITERS = re.compile(r"\|?\s*+:?-+:?\s*+(?:\|\s*+:?-+:?\s*+)*+\|?\s*+")
_MARGIN = re.compile(r"[^\S\n]*(?:>[^\S\n]*)*")
_BAR = re.compile(r"(?<!\\)\|")


def with_named_rows(text: str) -> str:
    """Return a text in which each row of a table with a header has the names of its columns."""
    if "|" not in text:
        return text
    lines = text.split("\n")
    written: list[str] = []
    at = 0
    while at < len(lines):
        end = _end_of_table(lines, at)
        if end:
            margin = _margin(lines[at])
            rows = [_cells(line) for line in (lines[at], *lines[at + 2 : end])]
            table = escape_headings(write_table(rows, 1))
            written += [f"{margin}{line}" for line in table.split("\n")]
        else:
            written.append(lines[at])
        at = end or at + 1
    return "\n".join(written)


def _end_of_table(lines: list[str], at: int) -> int:
    """Return the line after a table that begins with this line; 0 if none does."""
    if at + 2 >= len(lines) or "|" not in lines[at] or "|" not in lines[at + 1]:
        return 0
    delimiters = lines[at + 1][len(_margin(lines[at + 1])) :]
    if not _DELIMITERS.fullmatch(delimiters) or len(_texts(delimiters)) != len(_texts(lines[at])):
        return 0
    end = at + 2
    while end < len(lines) and "|" in lines[end]:
        end += 1
    return end


def _margin(line: str) -> str:
    match = _MARGIN.match(line)
    return match[0] if match else ""


def _texts(line: str) -> list[str]:
    row = line[len(_margin(line)) :].rstrip().removeprefix("|")
    row = row[:-1] if row.endswith("|") and not row.endswith("\\|") else row
    return [text.strip().replace("\\|", "|") for text in _BAR.split(row)]


def _cells(line: str) -> list[TableCell]:
    return [TableCell(text, column) for column, text in enumerate(_texts(line))]
