"""Extract the rows of tables from documents: records, tables in texts, and fields of documents.

Loaders write a table as a header and one line for each row. Each cell has its column's name
(``loaders/tables.py``). A record is a document with its fields as metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from expertrag_index.types import Scalar

BAR = " | "
"""Separates the cells of a row in a text."""
_RECORD = re.compile(r"(?P<file>.+)#\d+")
_FIELD = re.compile(r"(?P<name>[^\W\d_][\w /().&'-]{0,39}?)\s?:\s+(?P<value>\S.{0,199})")
_SENTENCES = re.compile(r"[a-z0-9]\. +[A-Z]")
_HEADING = re.compile(r"#{1,6}\s+(.+)")
_HEAD_LINES = 60
"""Lines of a document in which fields are looked for."""

_LONGEST_CAPTION = 100

LIST = "; "
"""Separates the values of a cell that holds several."""

HIDDEN = frozenset({"text_fields", "pages", "attachments", "modified", "created", "language"})
"""Metadata that describes the file, not what the document is about."""

Cells = Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class TextDocument:
    """A document as the tables read it."""

    id: str
    title: str
    source: str
    metadata: Mapping[str, object]
    text: str

    @property
    def path(self) -> PurePosixPath:
        """Path of the file, without the number of a record or of a row."""
        record = _RECORD.fullmatch(self.id)
        return PurePosixPath(record["file"] if record else self.id)

    @property
    def is_record(self) -> bool:
        """Whether the document is one record of a file with several."""
        return "text_fields" in self.metadata or _RECORD.fullmatch(self.id) is not None


@dataclass(slots=True)
class RawTable:
    """Rows of one table, as written.

    ``names``: what the table may be called: its file, folder, caption or heading.
    """

    names: tuple[str, ...]
    rows: list[tuple[str, dict[str, Scalar]]] = field(default_factory=list)
    """Pairs of a document's id and the cells of one row, by column."""


def record_cells(document: TextDocument) -> dict[str, Scalar]:
    """Return the fields of a record; those that are not metadata are read from its text."""
    cells = {
        name: join_values(value) for name, value in document.metadata.items() if name not in HIDDEN
    }
    wanted = document.metadata.get("text_fields", ())
    names = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
    lines = document.text.split("\n")
    for name in map(str, names):
        if name in cells:
            continue
        value = next(
            (line[len(name) + 2 :] for line in lines if line.startswith(f"{name}: ")), None
        )
        if value:
            cells[name] = value
    ordered = {name: cells[name] for name in map(str, names) if name in cells}
    return {**ordered, **cells}


def join_values(value: object) -> Scalar:
    """Return a value of metadata, a scalar or a list of them, as one cell."""
    if isinstance(value, list | tuple):
        return LIST.join(map(str, value))
    return value if isinstance(value, str | int | float | bool) else str(value)


def tables_in(document: TextDocument) -> Iterator[RawTable]:
    """Yield the tables in a document's text."""
    heading = caption = ""
    lines = document.text.split("\n")
    at = 0
    while at < len(lines):
        line = lines[at]
        if match := _HEADING.fullmatch(line.strip()):
            heading, caption = match[1], ""
        elif BAR in line and at + 1 < len(lines):
            header = [cell.strip() for cell in line.split(BAR)]
            table, at = _read_rows(document, header, lines, at + 1)
            if len(table) >= 1:
                names = (caption, heading, document.title, document.path.stem)
                yield RawTable(tuple(dict.fromkeys(filter(None, names))), table)
                continue
        elif not _HEADING.fullmatch(line.strip()):
            caption = _find_caption(line.strip(), caption)
        at += 1


def _find_caption(line: str, before: str) -> str:
    """Return the caption of a table that begins after a line: the line above, or "Table 3: …"."""
    if not line:
        return before if before.endswith(":") or before.startswith("Tab") else ""
    return line if len(line) <= _LONGEST_CAPTION else ""


def _read_rows(
    document: TextDocument, header: Sequence[str], lines: Sequence[str], at: int
) -> tuple[list[tuple[str, dict[str, Scalar]]], int]:
    """Read the rows below a header; returns them and the index of the line after them."""
    rows: list[tuple[str, dict[str, Scalar]]] = []
    while at < len(lines):
        cells = _row_cells(lines[at], header)
        if not cells:
            break
        rows.append((document.id, cells))
        at += 1
    return rows, at


def _row_cells(line: str, header: Sequence[str]) -> dict[str, Scalar]:
    cells: dict[str, Scalar] = {}
    wanted = iter(header)
    for cell in line.split(BAR):
        name, separator, value = cell.partition(": ")
        known = next((column for column in wanted if column == name.strip()), None)
        if not separator or known is None:
            return {}
        cells[known] = value.strip()
    return cells


def field_cells(document: TextDocument) -> dict[str, Scalar]:
    """Return the fields of a whole document: its metadata, and lines such as "Status: closed"."""
    cells: dict[str, Scalar] = {
        name: join_values(value) for name, value in document.metadata.items() if name not in HIDDEN
    }
    known = {name.casefold() for name in cells}
    for line in document.text.split("\n", _HEAD_LINES)[:_HEAD_LINES]:
        match = _FIELD.fullmatch(line.strip())
        if match is None or BAR in line or _SENTENCES.search(match["value"]):
            continue
        if match["name"].casefold() not in known:
            known.add(match["name"].casefold())
            cells[match["name"]] = match["value"]
    return cells
