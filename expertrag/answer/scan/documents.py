"""The documents that a question about a set means, chosen for recall.

They are all documents of the folders that the question names, or of the folder that most of the
best passages come from. Of a large store, they are the documents of a deep search. Access labels
and the filter of the request apply in the catalog and in the search.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag_index.words.porter import stem

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag_index.store.listing import DocumentInfo
    from expertrag_retriever.types import Passage

MOST_DOCUMENTS = 200
"""Documents that one request may read."""
_MOST_LISTED = 5_000
"""Documents of a store up to which all are compared with the question's noun."""
_DEEP = 400  # passages of the search
_BEST = 12  # passages that vote for a folder
_WORD = re.compile(r"[^\W\d_]+")
_SYNONYMS = tuple(
    frozenset(words.split())
    for words in (
        "contract agreement vertrag verträge verträgen vertraege lease",
        "minute meeting protokoll protokolle protokollen sitzung besprechung",
        "invoice bill rechnung rechnungen",
        "incident outage postmortem störung störungen vorfall vorfälle",
        "policy guideline richtlinie richtlinien",
        "report bericht berichte berichten",
        "employee staff people person mitarbeiter",
        "ticket issue",
        "order bestellung bestellungen",
        "letter brief briefe",
        "offer quote quotation angebot angebote",
        "project projekt projekte",
    )
)


@dataclass(frozen=True, slots=True)
class ChosenDocuments:
    """The documents to read, those that match best first.

    ``left_out``: others of the family. ``whole``: whether it is a whole family. ``family``: what
    they were chosen by. ``passages``: the passages of each that a search has found.
    """

    documents: tuple[DocumentInfo, ...]
    left_out: int
    whole: bool
    family: str
    passages: dict[str, list[Passage]]


def choose_documents(context: AnswerContext, noun: str, limit: int) -> ChosenDocuments:
    """Choose the documents that a question means by a noun.

    :param limit: how many documents may be read.
    """
    context.should_stop()
    filter = context.request.filter or None
    catalog = context.view.index.catalog
    total = catalog.count(filter)
    passages = _search(context)
    ranks = {document: rank for rank, document in enumerate(passages)}
    if total > _MOST_LISTED:
        found = [info for id in list(passages)[:limit] if (info := catalog.document(id))]
        return ChosenDocuments(tuple(found), 0, False, "the best of a search", passages)
    infos = [info for _, info in catalog.documents(filter, limit=_MOST_LISTED)]
    family, where = _family(infos, noun, list(passages))
    family.sort(key=lambda info: (ranks.get(info.id, len(ranks)), info.id))
    return ChosenDocuments(tuple(family[:limit]), len(family[limit:]), True, where, passages)


def family_of(
    context: AnswerContext, family: Sequence[str], name: str, limit: int
) -> ChosenDocuments | None:
    """Return the documents of a family that is known, those that match best first; None for none.

    :param family: ids of documents.
    :param name: what the family is called.
    """
    if not family:
        return None
    passages = _search(context)
    ranks = {document: rank for rank, document in enumerate(passages)}
    ordered = sorted(family, key=lambda id: (ranks.get(id, len(ranks)), id))
    catalog = context.view.index.catalog
    infos = [info for id in ordered[:limit] if (info := catalog.document(id))]
    return ChosenDocuments(tuple(infos), len(ordered[limit:]), True, f"all of {name}", passages)


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


def _family(
    infos: Sequence[DocumentInfo], noun: str, ranked: Sequence[str]
) -> tuple[list[DocumentInfo], str]:
    """Return the documents that a noun means, and what they were chosen by."""
    folders: dict[str, list[DocumentInfo]] = defaultdict(list)
    for info in infos:
        folders[_folder(info)].append(info)
    words = [_stems_of(word) for word in _WORD.findall(noun.lower())]
    named = _most_words(_find_folders(folders, words[-1:]), words)
    if named:
        family = [info for name in named for info in folders[name]]
        return family, "all of " + ", ".join(f"{name or 'the store'}" for name in sorted(named))
    titled = [info for info in infos if words and words[-1] & _stems(_title(info))]
    if titled:
        return titled, f"all with {noun} in their title or name"
    votes = Counter(_folder(info) for info in infos if info.id in ranked[:_BEST])
    if votes and (best := votes.most_common(1)[0])[1] * 2 > sum(votes.values()):
        return list(folders[best[0]]), f"all of {best[0] or 'the store'}"
    return list(infos), "all of the store"


def _find_folders(
    folders: dict[str, list[DocumentInfo]], head: Sequence[frozenset[str]]
) -> dict[str, frozenset[str]]:
    """Return the folders that the head of a noun names, with the stems of their names.

    The path names it, or the titles of most documents do.
    """
    if not head:
        return {}
    result = {}
    for name, infos in folders.items():
        path = _stems(name) | frozenset(s for info in infos for s in _stems(info.domain or ""))
        titled = sum(bool(head[0] & _stems(_title(info))) for info in infos)
        if head[0] & path or (titled * 2 > len(infos) and len(infos) > 1):
            result[name] = path
    return result


def _most_words(named: dict[str, frozenset[str]], words: Sequence[frozenset[str]]) -> list[str]:
    """Return the folders that most words of a noun name: supplier contracts, not all contracts."""
    counts = {name: sum(bool(word & path) for word in words) for name, path in named.items()}
    most = max(counts.values(), default=0)
    return [name for name, count in counts.items() if count == most]


def _folder(info: DocumentInfo) -> str:
    return info.id.rpartition("/")[0]


def _title(info: DocumentInfo) -> str:
    return f"{info.title} {info.id.rpartition('/')[2].rpartition('.')[0]}"


def _stems(text: str) -> frozenset[str]:
    return frozenset(stem(word) for word in _WORD.findall(text.lower()))


def _stems_of(word: str) -> frozenset[str]:
    """Return the stem of a word, and the stems of words for the same kind of document."""
    own = {word, stem(word)}
    groups: Iterable[frozenset[str]] = (
        group for group in _SYNONYMS if own & {*group, *map(stem, group)}
    )
    return frozenset(own).union(*({*group, *map(stem, group)} for group in groups))
