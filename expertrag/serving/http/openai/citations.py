"""Citations as annotations of an answer's text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from expertrag.api.citing import best_by_passage
from expertrag.api.table_text import adds_to, markdown_of
from expertrag.api.types import Answer, Citation

_MARKERS = re.compile(r"(?:\s*\[\d+\])+\s*$")
TABLE_ROWS = 50
"""Most rows in Markdown; ``expertrag.table`` has all of them."""

Url = Callable[[Citation], str]


@dataclass(frozen=True, slots=True)
class Cited:
    """What is added to the end of an answer's text, and the annotations of the whole text.

    A marker such as ``[2]`` is the rank of a passage. A text without markers gets them at its end.
    """

    added: str
    annotations: list[dict[str, Any]]


def cite(answer: Answer, url: Url, *, markers: bool = True) -> Cited:
    """Return the annotations of an answer, one for each passage that it cites.

    :param url: returns the address of a citation's source.
    :param markers: whether markers may be added; without them, an annotation covers the sentence.
    """
    best = {} if answer.abstained else best_by_passage(answer.citations)
    text, added, annotations = answer.text, "", []
    last_marker = _MARKERS.search(text) if markers else None
    for rank, citation in best.items():
        start, end = citation.answer_start, citation.answer_end
        if markers:
            marker = f"[{rank}]"
            place = text.find(marker, last_marker.start()) if last_marker else -1
            if place < 0:
                added += marker if added or last_marker else f" {marker}"
                place = len(text) + len(added) - len(marker)
            start, end = place, place + len(marker)
        annotations.append(_annotation(answer, citation, start, end, url(citation)))
    return Cited(added, annotations)


def append_table(cited: Cited, answer: Answer) -> Cited:
    """Add the table of an answer in Markdown, if it says more than the text."""
    if answer.table is None or not adds_to(answer.table, answer.text):
        return cited
    table = markdown_of(answer.table, TABLE_ROWS)
    return replace(cited, added=f"{cited.added}\n\n{table}")


def _annotation(answer: Answer, citation: Citation, start: int, end: int, url: str) -> Any:
    known = citation.passage <= len(answer.passages)
    title = answer.passages[citation.passage - 1].title if known else ""
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": end,
        "title": title or citation.document_id,
        "url": url,
    }
