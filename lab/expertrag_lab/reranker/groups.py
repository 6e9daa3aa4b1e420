"""Groups to learn from: a query with the candidates of hybrid search, and which answer it.

N candidates
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.build.writer import IndexWriter
from expertrag_index.store.index import Index
from expertrag_index.types import Document
from expertrag_retriever.calibrate import calibrator
from expertrag_retriever.rerank.reranking import CANDIDATES, embedding_text_of, standardise
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray
    from expertrag_lab.embedder.types import Source
    from expertrag_retriever.base import Embedder


@dataclass(frozen=True, slots=True)
class CandidateGroup:
    """A query and its candidates, best first.

    ``search``: their standardised scores by the search. ``relevant``: which are of a document that
    answers the query; some are, and some are not.
    """

    query: str
    texts: tuple[str, ...]
    search: tuple[float, ...]
    relevant: tuple[bool, ...]

    def sample(self, negatives: int, rng: random.Random) -> CandidateGroup:
        """Draw one relevant candidate, which comes first, and others that are not."""
        right = [place for place, own in enumerate(self.relevant) if own]
        wrong = [place for place, own in enumerate(self.relevant) if not own]
        chosen = [rng.choice(right), *rng.sample(wrong, min(negatives, len(wrong)))]
        return CandidateGroup(
            self.query,
            tuple(self.texts[place] for place in chosen),
            tuple(self.search[place] for place in chosen),
            tuple(self.relevant[place] for place in chosen),
        )


@dataclass(frozen=True, slots=True)
class GroupedSource:
    """The groups of a data set, to train on and held out; ``dropped`` could not be used.

    A query is dropped if no candidate answers it, or all do.
    """

    name: str
    train: tuple[CandidateGroup, ...]
    dev: tuple[CandidateGroup, ...]
    dropped: int


def group_source(
    source: Source,
    held_out: Source,
    embedder: Embedder,
    store: Path,
    advance: Callable[[int, int], None],
) -> GroupedSource:
    """Search for every query of a data set among its documents, which become a store.

    :param held_out: the same data set with the queries of its dev slice.
    :param store: folder of the store; one that is complete is reused.
    """
    documents = (Document(name, text) for name, text in sorted(source.corpus.items()))
    with IndexWriter.open(store, embedder, calibrate=calibrator(embedder)) as writer:
        writer.build(documents)
    answers = {**held_out.answers(), **source.answers()}
    queries = list(dict.fromkeys(pair.query for pair in (*source.pairs, *held_out.pairs)))
    with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
        searcher = Searcher(index, embedder)
        groups = dict(candidate_groups(searcher, queries, answers, advance))
    held = {pair.query for pair in held_out.pairs}
    return GroupedSource(
        source.name,
        tuple(group for query, group in groups.items() if query not in held),
        tuple(group for query, group in groups.items() if query in held),
        len(queries) - len(groups),
    )


def candidate_groups(
    searcher: Searcher,
    queries: Sequence[str],
    answers: Mapping[str, frozenset[str]],
    advance: Callable[[int, int], None],
) -> Iterator[tuple[str, CandidateGroup]]:
    """Search for queries, and yield each with its group; those without one are left out.

    :param answers: ids of the documents that answer a query.
    """
    for done, query in enumerate(queries, 1):
        passages = searcher.search(query, k=CANDIDATES).passages
        relevant = tuple(item.document_id in answers[query] for item in passages)
        if any(relevant) and not all(relevant):
            search = standardise([item.score for item in passages])
            texts = tuple(map(embedding_text_of, passages))
            yield query, CandidateGroup(query, texts, tuple(search.tolist()), relevant)
        advance(done, len(queries))


def group_ndcg(relevant: Sequence[bool], scores: FloatArray) -> float:
    """nDCG@10 of candidates in the order of their scores [N], equal ones in their own order."""
    gains = np.array(relevant, float)[np.argsort(-scores, kind="stable")][:10]
    ideal = np.sort(np.array(relevant, float))[::-1][:10]
    discounts = 1 / np.log2(np.arange(2, 12))
    return float((gains * discounts[: len(gains)]).sum() / (ideal * discounts[: len(ideal)]).sum())
