"""What lists of documents and of skipped files hold. Importing it loads no other package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

Position = tuple[str | int, str]
"""Place in a list of documents: what it is ordered by, and the id."""


class DocumentOrder(StrEnum):
    """Order of a list of documents; equal ones by their ids."""

    ID = "id"
    TITLE = "title"
    SOURCE = "source"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document of a store, without its text, which has ``characters`` characters."""

    id: str
    title: str
    domain: str | None
    source: str
    metadata: Mapping[str, object]
    characters: int
    chunks: int


@dataclass(frozen=True, slots=True, order=True)
class SkippedFile:
    """A file, page or record that is not in a store, why, and what to do about it.

    A ``notice`` is about a file that is in the store, or need not be. ``document_id`` is empty if
    the document had no id yet. Lists are in the order of the fields: losses come first.
    """

    notice: bool
    source: str
    document_id: str
    reason: str
    cure: str
