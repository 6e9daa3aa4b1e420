"""The title of a document with the name of its file, for its chunks.

Eight contracts are all titled "Services agreement", and only the names of their files say with
whom: without these, no search tells their clauses apart.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag_index.types import Document

_WORD = re.compile(r"[^\W_]+")


def path_of(document_id: str, source: str) -> str:
    """Return the path of the file that a document is read from; empty if its id is not a path.

    :param source: where it was read; the id of a file's document is the end of it, and a record
        without an id of its own adds the number of its row (``staff.csv#12``).
    """
    path = document_id.partition("#")[0]
    return path if path and f"/{source}".endswith(f"/{path}") else ""


def make_title(document: Document) -> str:
    """Return the title of a file's document, with the words of the file's name that it lacks."""
    path = path_of(document.id, document.source)
    if not path or path != document.id:  # rows of a file share its name
        return document.title
    stem = PurePosixPath(path).stem
    words, title = _words(stem), _words(document.title)
    if words <= title:
        return document.title
    return stem if title <= words else f"{document.title} ({stem})"


def _words(text: str) -> set[str]:
    return {word.casefold() for word in _WORD.findall(text)}
