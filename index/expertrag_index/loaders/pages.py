"""Joins the texts of pages to the text of a document."""

from __future__ import annotations

from collections.abc import Sequence

_BETWEEN = "\n\n"


def join_pages(pages: Sequence[str]) -> tuple[str, list[int]]:
    """Join pages; return the text and where each page begins, an empty one where the next does."""
    starts, length = [], 0
    for page in pages:
        starts.append(length)
        length += len(page) + len(_BETWEEN) if page else 0
    text = _BETWEEN.join(page for page in pages if page)
    return text, [min(start, len(text)) for start in starts]
