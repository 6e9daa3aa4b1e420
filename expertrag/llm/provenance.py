"""Where a passage comes from, for its header in a prompt and for grounding.

A clause says "the Supplier" where the file's name says who that is. A policy seldom says in each
section that it is superseded. A model that reads passages needs both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from expertrag_index.build.naming import path_of
from expertrag_index.store.metadata import scalars_of

if TYPE_CHECKING:
    from expertrag.api.types import Passage

_MOST_FIELDS = 6
_LONGEST_VALUE = 60  # characters; a longer value describes more than the origin of a passage
_MOST_VALUES = 3
_UNTOLD = frozenset({"pages", "text_fields", "attachments"})
"""Metadata fields of the loaders that say how a file is built."""
_SEPARATORS = re.compile(r"[/\\_.\-#]+")


def provenance(passage: Passage) -> str:
    """Describe the origin of a passage: ``hr/travel.docx, page 3, status: draft``.

    The description has its file, if its id is the file's path, and its page. Short metadata fields
    follow, unless the text or the title holds them. Empty for a document without any of these.
    """
    return ", ".join(_parts(passage))


def provenance_words(passage: Passage) -> str:
    """Return the title and the origin of a passage as words, for a comparison with other texts."""
    path = _SEPARATORS.sub(" ", path_of(passage.document_id, passage.source))
    return " ".join([passage.title, path, *_fields(passage)])


def _parts(passage: Passage) -> Iterator[str]:
    if path := path_of(passage.document_id, passage.source):
        yield path
    if passage.page is not None:
        yield f"page {passage.page}"
    yield from _fields(passage)


def _fields(passage: Passage) -> list[str]:
    written = f"{passage.title}\n{passage.text}".casefold()
    shown = []
    for name, value in passage.metadata.items():
        values = list(map(str, scalars_of(value)))
        text = ", ".join(values)
        if name in _UNTOLD or not text or len(values) > _MOST_VALUES or len(text) > _LONGEST_VALUE:
            continue
        if any(each.casefold() not in written for each in values):
            shown.append(f"{name}: {text}")
    return shown[:_MOST_FIELDS]
