"""Evaluate retrieval: ranking measures of each search mode, with intervals and significance.

A document is ranked by its best chunk. A query without results in a mode scores 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from expertrag.api.errors import InvalidArgument
from expertrag.api.types import Passage, SearchMode
from expertrag.models import SHIPPED
from expertrag.runtime.error_mapping import translate_errors
from expertrag_index.errors import SearchError
from expertrag_index.store.index import Index
from expertrag_lab.data.datasets import Dataset, Query, load_datasets, sample
from expertrag_lab.data.qrels import Qrels
from expertrag_lab.data.types import JSON, Skipped
from expertrag_lab.eval.ranking import (
    EXPERTS,
    EmbeddedQuery,
    Ranker,
    Rankings,
    embed_queries,
    join,
    parse_modes,
    search_mode,
)
from expertrag_lab.eval.retrieval_report import SetResult, Values, make_report
from expertrag_lab.eval.stores import Unit, build_store, read_corpus
from expertrag_lab.metrics.measures import Measures, default_names
from expertrag_retriever.encoder import SentenceTransformerEmbedder
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.search import Searcher

if TYPE_CHECKING:
    from expertrag_index.types import Progress
    from expertrag_retriever.base import Embedder

MODES = ("bm25", "dense", "hybrid")  # "experts" on request
UNANSWERABLE = "the corpus holds no answer, so there is nothing to find"
_DEPTH = 100  # fewest documents to rank
_WORST = 10
_TEXT_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class RetrievalSettings:
    """Settings of an evaluation.

    ``k`` is the cut-off of the default metrics and the number of passages shown per query.
    ``limit`` the number of queries per data set, drawn by ``seed``. ``index``: a store of the
    corpora that is searched as it is; None builds one of each corpus.

    :raises InvalidArgument: a metric or mode is unknown, or a number is out of range.
    :raises MissingExtra: a package is not installed.
    """

    modes: tuple[str, ...] = MODES
    metrics: tuple[str, ...] = ()
    k: int = 10
    unit: Unit = "document"
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    index: Path | None = None

    def __post_init__(self) -> None:
        if EXPERTS in parse_modes(self.modes) and self.index is not None:
            raise InvalidArgument(
                "mode experts compares two stores, so it cannot be used with --index; leave one out"
            )
        self.measures()
        if self.limit is not None and self.limit < 1:
            raise InvalidArgument(f"limit is {self.limit}; use 1 or more")

    def measures(self) -> Measures:
        """Parse the metrics."""
        return Measures(self.metrics or default_names(self.k))


def evaluate(
    folders: Sequence[Path],
    embedder: Embedder,
    settings: RetrievalSettings,
    work: Path,
    progress: Progress,
) -> Mapping[str, JSON]:
    """Evaluate retrieval on data sets; the stores of their corpora are cached in ``work``.

    :return: the report: ``kind`` "retrieval", ``datasets`` (set to mode to metric to mean),
        ``intervals``, ``comparisons``, ``per_query``, ``sizes``, ``mean``, ``worst``, ``skipped``.
    :raises InvalidArgument: a data set cannot be evaluated, or the mode "experts" is given for an
        embedder without experts.
    :raises NotFound: a data set or its judgements are missing.
    """
    measurement = _Measurement(embedder, settings, work, progress)
    datasets = load_datasets(folders, settings.split)
    with translate_errors():
        results = {dataset.name: measurement.of(dataset) for dataset in datasets}
    return make_report(
        results,
        modes=measurement.modes,
        metrics=measurement.measures.names,
        seed=settings.seed,
        inputs={
            "unit": settings.unit if settings.index is None else "store",
            "k": settings.k,
            "limit": settings.limit,
            "embedder": {"name": Path(embedder.name).name, "fingerprint": embedder.fingerprint},
        },
        progress=progress,
    )


class _Measurement:
    """One evaluation: the state shared by all its data sets."""

    def __init__(
        self,
        embedder: Embedder,
        settings: RetrievalSettings,
        work: Path,
        progress: Progress,
    ) -> None:
        self.modes = parse_modes(settings.modes)
        self.measures = settings.measures()
        self._embedder = embedder
        # with "experts", the other modes use the base model, to show what the experts add
        others = tuple(mode for mode in self.modes if mode != EXPERTS)
        base = _base_of(embedder) if EXPERTS in self.modes else embedder
        self._compared, self._base = (others, base) if others else (self.modes, embedder)
        self._settings = settings
        self._work = work
        self._progress = progress

    def of(self, dataset: Dataset) -> SetResult:
        """Build the store of a data set, search it and score the results."""

        def report(stage: str, done: int, total: int | None) -> None:
            self._progress(f"{dataset.name}: {stage}", done, total)

        queries = _choose(dataset, self._settings)
        rankings = Rankings({}, ())
        if self._compared != self.modes:
            with self._store(dataset, self._embedder) as (_, ranker, _):
                rankings = ranker.rank_all(self._embed(queries, report), (EXPERTS,), report)
        with self._store(dataset, self._base) as (index, ranker, unread):
            asked = self._embed(queries, report)
            rankings = join(ranker.rank_all(asked, self._compared, report), rankings)
            failed = {item.id for item in rankings.skipped}
            asked = [item for item in asked if item.query.id not in failed]
            if not asked:
                reason = rankings.skipped[0].reason
                raise InvalidArgument(f"no query of {dataset.name} can be searched: {reason}")
            qrels = {item.query.id: dataset.qrels[item.query.id] for item in asked}
            missing = _missing(dataset, index, qrels)
            values = {
                mode: self.measures.per_query(qrels, rankings.runs[mode]) for mode in self.modes
            }
            return SetResult(
                values=values,
                sizes=_sizes(index, qrels, missing),
                worst=self._worst(dataset, ranker, asked, values),
                skipped=(
                    *dataset.skipped,
                    *_unanswerable(dataset),
                    *unread,
                    *rankings.skipped,
                    *map(_not_there, missing),
                ),
                inputs={
                    "split": dataset.split,
                    "judgements": dataset.sha256,
                    "corpus": read_corpus(dataset).sha256,
                    "chunker": index.manifest.chunker,
                },
            )

    @contextmanager
    def _store(
        self, dataset: Dataset, embedder: Embedder
    ) -> Iterator[tuple[Index, Ranker, Sequence[Skipped]]]:
        """Open the store of a data set, which is built if none is given.

        Also yields the documents that failed to load.
        """
        unread: Sequence[Skipped] = ()
        store = self._settings.index
        if store is None:
            store, unread = build_store(
                dataset, embedder, self._settings.unit, self._work, self._progress
            )
        with Index.open(store, embedder_fingerprint=embedder.fingerprint) as index:
            depth = max(_DEPTH, self.measures.deepest)
            yield index, Ranker(Searcher(index, embedder), depth), unread

    def _embed(self, queries: Sequence[Query], progress: Progress) -> Sequence[EmbeddedQuery]:
        if self.modes == (SearchMode.BM25.value,):
            return [EmbeddedQuery(query) for query in queries]
        return embed_queries(self._embedder, queries, progress)

    def _worst(
        self, dataset: Dataset, ranker: Ranker, queries: Sequence[EmbeddedQuery], values: Values
    ) -> Sequence[JSON]:
        """Show the results of the last mode for the queries with the lowest scores."""
        mode, metric = self._compared[-1], self.measures.names[0]
        scores = values[mode][metric]
        lowest = sorted(queries, key=lambda item: (scores[item.query.id], item.query.id))[:_WORST]
        return [
            {
                "query_id": asked.query.id,
                "query": asked.query.text,
                "mode": mode,
                "metric": metric,
                "value": scores[asked.query.id],
                "relevant": dataset.relevant(asked.query.id),
                "passages": [
                    _passage(passage, dataset.relevant(asked.query.id))
                    for passage in ranker.rank(asked, search_mode(mode))[: self._settings.k]
                ],
            }
            for asked in lowest
        ]


def _base_of(embedder: Embedder) -> Embedder:
    if not embedder.experts or not isinstance(embedder, SentenceTransformerEmbedder):
        raise InvalidArgument(
            f"mode experts needs an embedder with experts, but {embedder.name} has none: name "
            f"{SHIPPED[0]} or a bundle of `expertrag train embedder` with --embedder",
            reason="EXPERTS_MISSING",
            metadata={"field": "modes"},
        )
    from expertrag_lab.eval.one_expert import OneExpert

    return OneExpert(embedder, GENERAL)


def _choose(dataset: Dataset, settings: RetrievalSettings) -> tuple[Query, ...]:
    if not dataset.judged:
        raise InvalidArgument(
            f"split {dataset.split} of {dataset.folder} has no query with a relevant document; "
            "name another one with --split"
        )
    chosen = sample(dataset.judged, settings.limit, settings.seed)
    return tuple(sorted(chosen, key=lambda query: query.id))


def _unanswerable(dataset: Dataset) -> Iterator[Skipped]:
    """List the questions that the corpus cannot answer; they are used for answers only."""
    for query in dataset.queries:
        if query.id not in dataset.qrels:
            yield Skipped(query.id, UNANSWERABLE)


def _passage(passage: Passage, relevant: Sequence[str]) -> JSON:
    text = " ".join(passage.text.split())
    cut = len(text) > _TEXT_CHARACTERS
    return {
        "document_id": passage.document_id,
        "title": passage.title,
        "text": text[:_TEXT_CHARACTERS] + "…" * cut,
        "score": passage.score,
        "relevant": passage.document_id in relevant,
    }


def _missing(dataset: Dataset, index: Index, qrels: Qrels) -> Sequence[str]:
    """List the relevant documents that the corpus lacks, so that no search can find them.

    :raises InvalidArgument: the corpus lacks all of them.
    """
    judged = {document for grades in qrels.values() for document in grades}
    missing = sorted(document for document in judged if not _holds(index, document))
    if len(missing) == len(judged):
        raise InvalidArgument(
            f"the corpus of {dataset.folder} contains none of the documents that split "
            f"{dataset.split} judges, such as {missing[0]}; fix the ids of corpus or judgements"
        )
    return missing


def _not_there(document_id: str) -> Skipped:
    return Skipped(document_id, "judged, but not in the corpus: counts as not found")


def _sizes(index: Index, qrels: Qrels, missing: Sequence[str]) -> Mapping[str, int]:
    judged = [document for grades in qrels.values() for document in grades]
    return {
        "documents": index.manifest.documents,
        "chunks": index.size,
        "queries": len(qrels),
        "judgements": len(judged),
        "judged_missing": sum(document in set(missing) for document in judged),
    }


def _holds(index: Index, document_id: str) -> bool:
    try:
        index.document_text(document_id)
    except SearchError:
        return False
    return True
