"""The documents of a family that a question about a set is about, those that match best first.

Access labels and the filter of the request apply in the search and where the family is derived.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag_index.store.listing import DocumentInfo
    from expertrag_retriever.types import Passage

MOST_DOCUMENTS = 200
"""Documents that one request may read."""
_DEEP = 400  # passages of the search


@dataclass(frozen=True, slots=True)
class ChosenDocuments:
    """The documents to read, those that match best first.

    ``left_out``: others of the family. ``family``: what the family is called. ``passages``: the
    passages of each document that a search has found.
    """

    documents: tuple[DocumentInfo, ...]
    left_out: int
    family: str
    passages: dict[str, list[Passage]]


def choose_documents(context: AnswerContext, limit: int) -> ChosenDocuments:
    """Choose the documents of the family that a question is about.

    :param limit: how many documents may be read.
    """
    context.should_stop()
    about = context.asks_about
    passages = _search(context)
    ranks = {document: rank for rank, document in enumerate(passages)}
    ordered = sorted(about.family, key=lambda id: (ranks.get(id, len(ranks)), id))
    catalog = context.view.index.catalog
    infos = tuple(info for id in ordered[:limit] if (info := catalog.document(id)))
    return ChosenDocuments(infos, len(ordered[limit:]), f"all of {about.name}", passages)


def _search(context: AnswerContext) -> dict[str, list[Passage]]:
    """Return the passages that a deep search finds, by document, best first."""
    searcher, request = context.view.searcher, context.request
    result = searcher.search(
        request.question,
        k=_DEEP,
        filter=request.filter or None,
        query_vector=context.asked.vectors,
    )
    context.meter.add(retrieval_calls=1, vectors_scanned=result.vectors_scanned)
    passages: dict[str, list[Passage]] = defaultdict(list)
    for passage in result.passages:
        passages[passage.document_id].append(passage)
    return dict(passages)
