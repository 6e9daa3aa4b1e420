"""What a list of documents holds. Importing this module loads only the standard library."""

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
