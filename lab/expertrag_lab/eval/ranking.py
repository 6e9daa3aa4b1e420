"""Rank documents for the queries of a data set in each search mode, by their best chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Passage, SearchMode
from expertrag_index.errors import SearchError
from expertrag_index.store.index import MAX_K
from expertrag_lab.data.types import Skipped
from expertrag_retriever.errors import QueryError
from expertrag_retriever.experts.settings import GENERAL

if TYPE_CHECKING:
    from expertrag_index.types import FloatArray, Progress
    from expertrag_lab.data.datasets import Query
    from expertrag_retriever.base import Embedder
    from expertrag_retriever.partitions import QueryVectors
    from expertrag_retriever.search import Searcher

EXPERTS = "experts"
"""Mode name: dense search with the embedding experts of an embedder.

If it is among the modes, the other modes use the base model, to show what the experts add.
Otherwise every mode uses the embedder as it is served.
"""

_QUERY_BATCH = 64


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """A query and its embedding [D] by the base model; None if only BM25 is used."""

    query: Query
    vector: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Rankings:
    """Document ids, best first, by mode and query id; ``skipped`` queries are in none."""

    runs: Mapping[str, Mapping[str, Sequence[str]]]
    skipped: tuple[Skipped, ...]


class Ranker:
    """Ranks the best ``depth`` documents of one store for queries, by their best chunk."""

    def __init__(self, searcher: Searcher, depth: int) -> None:
        self._searcher = searcher
        self._depth = depth
        self._vectors: dict[str, QueryVectors] = {}  # shared by all modes and depths

    def rank(self, asked: EmbeddedQuery, mode: SearchMode) -> list[Passage]:
        """Return the best chunk of each document found, best first.

        :raises QueryError: the query cannot be searched.
        :raises SearchError: its vector cannot be searched.
        """
        chunks = self._depth
        vector = self._vector(asked) if mode is not SearchMode.BM25 else None
        while True:
            passages = self._searcher.search(
                asked.query.text, k=chunks, mode=mode, query_vector=vector
            ).passages
            best: dict[str, Passage] = {}
            for passage in passages:
                best.setdefault(passage.document_id, passage)
            if len(best) >= self._depth or len(passages) < chunks or chunks == MAX_K:
                return list(best.values())[: self._depth]
            chunks = min(MAX_K, 2 * chunks)

    def _vector(self, asked: EmbeddedQuery) -> QueryVectors:
        known = self._vectors.get(asked.query.id)
        if known is None:
            known = self._searcher.encode(asked.query.text, vector=asked.vector)
            self._vectors[asked.query.id] = known
        return known

    def rank_all(
        self, queries: Sequence[EmbeddedQuery], modes: Sequence[str], progress: Progress
    ) -> Rankings:
        """Rank for all queries in all modes. A query that fails in one mode is in none."""
        runs: dict[str, dict[str, list[str]]] = {}
        failed: dict[str, str] = {}
        for mode in modes:
            runs[mode] = {}
            for done, asked in enumerate(queries, 1):
                try:
                    ranked = self.rank(asked, search_mode(mode))
                except (QueryError, SearchError) as error:
                    failed[asked.query.id] = str(error)
                else:
                    runs[mode][asked.query.id] = [passage.document_id for passage in ranked]
                progress(mode, done, len(queries))
        for run in runs.values():
            for name in failed:
                run.pop(name, None)
        return Rankings(runs, tuple(Skipped(name, reason) for name, reason in failed.items()))


def embed_queries(
    embedder: Embedder, queries: Sequence[Query], progress: Progress
) -> list[EmbeddedQuery]:
    """Embed the queries with the base model; the search applies the experts."""
    asked: list[EmbeddedQuery] = []
    for start in range(0, len(queries), _QUERY_BATCH):
        batch = queries[start : start + _QUERY_BATCH]
        vectors = embedder.encode_queries([query.text for query in batch], GENERAL)  # [B, D]
        asked += map(EmbeddedQuery, batch, vectors)
        progress("queries", len(asked), len(queries))
    return asked


def join(one: Rankings, other: Rankings) -> Rankings:
    """Combine the modes of two stores for the same queries."""
    skipped = {item.id: item for item in (*one.skipped, *other.skipped)}
    runs = {
        mode: {name: ranking for name, ranking in run.items() if name not in skipped}
        for mode, run in {**one.runs, **other.runs}.items()
    }
    return Rankings(runs, tuple(skipped.values()))


def search_mode(name: str) -> SearchMode:
    """Return the search mode of a store for the name of a mode."""
    return SearchMode.DENSE if name == EXPERTS else SearchMode(name)


def parse_modes(names: Sequence[str]) -> tuple[str, ...]:
    """Parse names of modes: search modes and "experts".

    :raises InvalidArgument: a mode is unknown, or none is given.
    """
    known = (*(mode.value for mode in SearchMode), EXPERTS)
    modes = tuple(dict.fromkeys(name.strip() for name in names))
    for name in modes:
        if name not in known:
            raise InvalidArgument(
                f"unknown mode {name!r}; the modes are {', '.join(known)}",
                reason="UNKNOWN_MODE",
                metadata={"field": "modes"},
            )
    if not modes:
        raise InvalidArgument(f"no mode given; name some of {', '.join(known)}")
    return modes
