"""Group documents into families, each a table with one row for each document.

A family is a folder, or the numbered files of a folder whose names begin with the same word, such
as ``INC-001.md`` and ``INC-002.md``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from expertrag_index.tables.extract import RawTable, TextDocument, field_cells
from expertrag_index.types import Scalar

DOCUMENTS = ("documents", "files")
"""Names of the table of all documents."""

FILE, TITLE = "file", "title"
"""Columns of every family."""

_LEAST_OF_PREFIX = 3
"""Files whose names begin with the same word, from which they are a family."""

_LEAST_SHARE = 0.3
"""Share of a family's documents that must have a field, for it to be a column."""

_PREFIX = re.compile(r"(?P<word>[^\W\d_]{2,})[-_ .]?\d")

_MAIL = ("mail", "mails", "emails", "messages")


def family_tables(documents: Sequence[TextDocument]) -> Iterator[RawTable]:
    """Yield a table for each family, and one of all documents."""
    folders: dict[str, list[TextDocument]] = defaultdict(list)
    for document in documents:
        folders[str(document.path.parent)].append(document)
    for folder, members in folders.items():
        if folder != "." and len(members) >= 2:
            yield _family(_names_of(folder), members)
        prefixes: dict[str, list[TextDocument]] = defaultdict(list)
        for member in members:
            if match := _PREFIX.match(member.path.stem):
                prefixes[match["word"].casefold()].append(member)
        for prefix, some in prefixes.items():
            whole = folder != "." and len(some) == len(members)
            if len(some) >= _LEAST_OF_PREFIX and not whole:
                yield _family((prefix,), some)
    if documents:
        yield _family(DOCUMENTS, documents)


def _names_of(folder: str) -> tuple[str, ...]:
    """Return the name of a folder; of a number, such as a year, with the folder around it."""
    around, _, name = folder.rpartition("/")
    if around and not re.search(r"[^\W\d_]", name):
        return (f"{around.rpartition('/')[2]} {name}", name)
    return (name,)


def _family(names: tuple[str, ...], members: Sequence[TextDocument]) -> RawTable:
    rows = [(member, field_cells(member)) for member in members]
    counts = Counter(name for _, cells in rows for name in cells)
    least = max(2, _LEAST_SHARE * len(members))
    is_mail = all(member.path.suffix == ".eml" for member in members)
    table = RawTable((*names, *_MAIL) if is_mail else names)
    for member, cells in rows:
        own: dict[str, Scalar] = {FILE: str(member.path), TITLE: member.title}
        own.update((name, cell) for name, cell in cells.items() if counts[name] >= least)
        table.rows.append((member.id, own))
    return table
