"""Orders of a list of documents. Importing this module loads only the standard library."""

from __future__ import annotations

from enum import StrEnum


class DocumentOrder(StrEnum):
    """Order of a list of documents; equal ones by their ids."""

    ID = "id"
    TITLE = "title"
    SOURCE = "source"
    NEWEST = "newest"
