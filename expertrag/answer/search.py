"""The search of an answer, or of passages alone: candidates, reranked, then the distinct ones.

Near-duplicates are dropped unless they differ in a number or a name: a copy of a file, the same
page in two formats. Of the versions of a document, the newest one in force is kept, and
what amends an earlier document stands before it.

Several steps are Iter-RetGen (Shao et al. 2023): an answer from the passages of one search often
names what the next search needs, such as the film whose director is asked for.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from expertrag.answer.named_records import add_named_records
from expertrag.answer.rerank import ServedReranker, active_on, depth_of, search_candidates
from expertrag.answer.two_hops import BRIDGED, search_two_hops
from expertrag.api import validation
from expertrag.api.types import Passage, QuestionScope
from expertrag.grounding.amendments import put_amended_first
from expertrag.grounding.versions import PassagePair, newest_versions
from expertrag.llm.base import ShouldStop, never_stop
from expertrag.queries.candidates import SEARCHED
from expertrag.runtime.meter import stage_span
from expertrag_retriever.rerank.reranking import Reranked
from expertrag_retriever.types import SearchResult

if TYPE_CHECKING:
    from expertrag.answer.context import AnswerContext
    from expertrag.api.types import AnswerRequest, RetrieveRequest
    from expertrag.queries.named_rows import NamedRow
    from expertrag_index.store.index import Index
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.search import Searcher

SPARE = 2
"""Factor of passages to search for over those to return, since some may be duplicates."""

_DUPLICATE = 0.8  # share of the shorter passage's shingles that are in the other
_SHINGLE = 4  # words

Draft = Callable[[Sequence[Passage]], str]
"""Generates a draft answer from passages."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """The passages to answer from, and pairs of one of an older version and the one in force.

    ``outdated``: pairs of an earlier passage and one that changes what it says, both kept.
    ``named``: the rows that the question names.
    """

    result: SearchResult
    replaced: tuple[PassagePair, ...] = ()
    outdated: tuple[PassagePair, ...] = ()
    named: tuple[NamedRow, ...] = ()

    @property
    def passages(self) -> tuple[Passage, ...]:
        """The passages to answer from, best first."""
        return self.result.passages

    def ending_with(self, others: Sequence[Passage], k: int) -> Gathered:
        """Return the best passages with others after them, ``k`` in all; unchanged for none."""
        if not others:
            return self
        passages = *self.passages[: k - len(others)], *others
        return replace(self, result=replace(self.result, passages=passages))


def retrieve_passages(
    index: Index,
    searcher: Searcher,
    request: RetrieveRequest,
    served: ServedReranker | None,
    should_stop: ShouldStop = never_stop,
    *,
    query_vector: QueryVectors | None = None,
) -> Reranked:
    """Search for a request's query, and rerank the candidates; at most ``request.k`` passages.

    :param query_vector: the query's, if known; see :meth:`Searcher.search`.
    :raises Conflict: if the request asks for a reranker, and there is none.
    """
    search = partial(
        searcher.search,
        request.query,
        mode=request.mode,
        filter=request.filter or None,
        query_vector=query_vector,
    )
    active = active_on(index.manifest.calibration, served, request.rerank)
    reranked = search_candidates(
        lambda k: search(k=k), request.query, request.k, active, stage_span, should_stop
    )
    best = replace(reranked.result, passages=reranked.result.passages[: request.k])
    return replace(reranked, result=best)


def search_for_gate(context: AnswerContext, served: ServedReranker | None) -> SearchResult:
    """Return the candidates that an answer searches for first; it does not search again."""
    depth = depth_of(_count_wanted(context.request), _reranker(context, served))
    return _search_once(context, context.request.question, depth)


def find_documents(context: AnswerContext) -> list[str]:
    """Search for a question about a set; return the documents of the passages, best first."""
    context.should_stop()
    with context.meter.stage("search"):
        result = _search_once(context, context.request.question, SEARCHED)
    return [passage.document_id for passage in result.passages]


def gather_passages(
    context: AnswerContext, served: ServedReranker | None, draft: Draft = lambda _: ""
) -> Gathered:
    """Search as often as the request says, and select the passages to answer from.

    :param served: the reranker; None if there is none.
    :param draft: writes what each search after the first one looks for as well.
    :raises Conflict: if the request asks for a reranker, and there is none.
    """
    request, meter = context.request, context.meter
    active = _reranker(context, served)

    def search(query: str) -> SearchResult:
        context.should_stop()
        find = partial(_search_once, context, query)
        wanted = _count_wanted(request)
        reranked = search_candidates(find, query, wanted, active, meter.stage, context.should_stop)
        meter.add(reranked=reranked.candidates, rerank_skipped=int(bool(reranked.skipped)))
        return reranked.result

    as_of = date.fromisoformat(request.as_of) if request.as_of else None
    if context.scope is QuestionScope.TWO_HOPS and request.steps == 1:
        both = search_two_hops(request.question, search)
        gathered = _select(request.question, both, request.k + BRIDGED, as_of)
    else:
        gathered = gather(request.question, request.k, request.steps, search, draft, as_of)
    passages, named = add_named_records(context, gathered.passages, as_of)
    return replace(gathered, result=replace(gathered.result, passages=passages), named=named)


def gather(
    question: str,
    k: int,
    steps: int,
    search: Callable[[str], SearchResult],
    draft: Draft,
    as_of: date | None = None,
) -> Gathered:
    """Search ``steps`` times, each after the first for the question with a draft answer.

    :param as_of: the day on which versions must be in force; None for today.
    """
    gathered = _select(question, search(question), k, as_of)
    for _ in range(steps - 1):
        if not gathered.passages:
            break
        answer = draft(gathered.passages)
        both = _interleave(gathered.result, search(f"{question} {answer}".strip()))
        gathered = _select(question, both, k, as_of)
    return gathered


def _select(question: str, result: SearchResult, k: int, as_of: date | None) -> Gathered:
    """Select the versions in force, amended first, without near-duplicates."""
    versions = newest_versions(question, result.passages, as_of)
    order, amended = put_amended_first(question, versions.in_force)
    kept = replace(result, passages=_distinct(order, k))
    return Gathered(kept, versions.replaced, (*amended, *versions.outdated))


def _reranker(context: AnswerContext, served: ServedReranker | None) -> ServedReranker | None:
    """Return the reranker if the request uses it on the store."""
    calibration = context.view.index.manifest.calibration
    return active_on(calibration, served, context.request.rerank)


def _count_wanted(request: AnswerRequest) -> int:
    """Return how many passages to search for, of which near-duplicates are dropped."""
    return min(SPARE * request.k, validation.MAX_K)


def _search_once(context: AnswerContext, query: str, k: int) -> SearchResult:
    """Search for a query, once: a search before the answer, with as many passages, serves it."""
    searches = context.searches
    deeper = (result for (done, depth), result in searches.items() if done == query and depth > k)
    if (query, k) not in searches and (known := next(deeper, None)):
        searches[query, k] = replace(known, passages=known.passages[:k])
    if (query, k) not in searches:
        result = context.view.searcher.search(
            query,
            k=k,
            filter=context.request.filter or None,
            query_vector=context.asked.vectors if query == context.request.question else None,
        )
        context.meter.add(retrieval_calls=1, vectors_scanned=result.vectors_scanned)
        searches[query, k] = result
    return searches[query, k]


def _interleave(before: SearchResult, after: SearchResult) -> SearchResult:
    """Interleave the passages of both searches, the later one first."""
    turns = chain.from_iterable(zip_longest(after.passages, before.passages))
    once: dict[tuple[str, int], Passage] = {}
    for item in turns:
        if item is not None:
            once.setdefault((item.document_id, item.ordinal), item)
    scanned = before.vectors_scanned + after.vectors_scanned
    return replace(after, passages=tuple(once.values()), vectors_scanned=scanned)


def _distinct(passages: Sequence[Passage], k: int) -> tuple[Passage, ...]:
    """Keep the best ``k`` passages that are not near-duplicates of better ones (Broder 1997)."""
    kept: list[tuple[Passage, _Words]] = []
    for passage in passages:
        if len(kept) == k:
            break
        words = _Words.of(passage.text)
        if not any(words.repeats(other) for _, other in kept):
            kept.append((passage, words))
    return tuple(passage for passage, _ in kept)


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a passage; ``exact``: those with a digit or a capital letter."""

    shingles: frozenset[tuple[str, ...]]
    exact: frozenset[str]

    @classmethod
    def of(cls, text: str) -> _Words:
        written = [word.strip(string.punctuation) for word in text.split()]
        words = [word.lower() for word in written]
        starts = range(min(_SHINGLE, len(words)))
        shingles = frozenset(zip(*(words[start:] for start in starts), strict=False))
        exact = (word for word in written if any(c.isdigit() or c.isupper() for c in word))
        return cls(shingles, frozenset(exact))

    def repeats(self, other: _Words) -> bool:
        """Return whether one of two passages adds nothing to the other.

        Two versions of a policy share all words but the amount that was raised, and two contracts
        all but a name: these are not duplicates.
        """
        common = len(self.shingles & other.shingles)
        if common < _DUPLICATE * min(len(self.shingles), len(other.shingles)):
            return False
        return self.exact <= other.exact or other.exact <= self.exact
