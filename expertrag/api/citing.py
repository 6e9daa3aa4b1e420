"""What is shown of citations: the best one of each passage, the words quoted, where to open them.

Importing this module loads only the standard library.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from expertrag.api.types import Citation, Passage


def best_by_passage(citations: Iterable[Citation]) -> dict[int, Citation]:
    """Return the citation of the highest score by the rank of its passage, in order of rank."""
    best: dict[int, Citation] = {}
    for citation in citations:
        if citation.passage not in best or citation.score > best[citation.passage].score:
            best[citation.passage] = citation
    return dict(sorted(best.items()))


def quote(citation: Citation, passage: Passage) -> str:
    """Return the words of a passage that a citation quotes."""
    return passage.text[citation.start - passage.start : citation.end - passage.start]


def document_url(
    base_url: str, document_id: str, collection: str = "", span: tuple[int, int] | None = None
) -> str:
    """Return the address of a document in the console.

    :param base_url: where the console is.
    :param span: characters of the document to mark, from ``start`` to ``end``.
    """
    about: dict[str, str | int] = {"id": document_id}
    if collection:
        about["collection"] = collection
    if span:
        about |= {"start": span[0], "end": span[1]}
    return f"{base_url.rstrip('/')}/#/document?{urlencode(about)}"
