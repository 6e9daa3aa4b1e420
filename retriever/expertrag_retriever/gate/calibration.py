"""Measures what a store is about, when a generation of it is built.

Sentences of sampled chunks serve as pseudo-queries, and the requests of ``background`` as the
contrast. The manifest stores similarity and term coverage of both. So a later query can be placed
between the two without labels and for any embedder.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.words.sentences import spans
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.gate.background import BACKGROUND
from expertrag_retriever.gate.coverage import (
    DEFAULT,
    QUANTILES,
    SignalContrast,
    Spread,
    TermCoverage,
    dump_coverage,
    nearness,
)
from expertrag_retriever.gate.terms import term_coverage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from expertrag_index.store.index import Index
    from expertrag_index.store.manifest import JSON
    from expertrag_index.types import Chunk, FloatArray
    from expertrag_retriever.base import Embedder

_SAMPLE = 200  # chunks; enough to know the mean similarity to 0.01
_DRAWN = 4_000  # chunks from which the sample is taken, so that small subjects are included
_SEED = 0
_MIN_WORDS = 4
_MAX_WORDS = 20  # a query's length; longer sentences are nearer to the chunks than queries are
_PRIOR_WEIGHT = 4.0  # the defaults count as this many pseudo-queries: a one-page store has few


def calibrate_coverage(index: Index, embedder: Embedder) -> Mapping[str, JSON]:
    """Measure what ``index`` is about; the result goes into its manifest under ``coverage``.

    A question is nearer to the chunk that answers it than to all others, but not as near as a
    sentence of that chunk. Therefore a pseudo-query's similarity is the mean of two values: to its
    own chunk, and to the nearest other one.
    """
    keys, queries = _pseudo_queries(index)
    if not queries:
        return {}
    experts = list(dict.fromkeys([GENERAL, *index.partitions()]))
    background = embedder.encode_queries_by_experts(BACKGROUND, experts)  # [B, P, D]
    vectors = embedder.encode_queries_by_experts(queries, experts)  # [N, P, D]
    about = _measure(index, queries, experts, vectors)
    others = _similarities(index, experts, vectors, keys)
    if index.size > 1:
        about = replace(about, similarity=(about.similarity + others) / 2)
    unrelated = _measure(index, BACKGROUND, experts, background)
    requests = background[:, 0]
    among = requests @ requests.T
    np.fill_diagonal(among, -1.0)  # compare a request only with the others
    near = [
        _nearness(about.similarity, vectors[:, 0] @ requests.T),
        _nearness(unrelated.similarity, among),
    ]
    quantiles = np.quantile(about.similarity, np.linspace(0.0, 1.0, QUANTILES))
    coverage = TermCoverage(
        nearness=_contrast(near[0], near[1], DEFAULT.nearness),
        terms=_contrast(about.terms, unrelated.terms, DEFAULT.terms),
        quantiles=tuple(quantiles.round(6).tolist()),
        background=requests,
    )
    return dump_coverage(coverage)


def _nearness(similarities: NDArray[np.float64], background: FloatArray) -> NDArray[np.float64]:
    """Nearness [N] of queries by their cosines [N, B] with the background requests."""
    best = background.max(axis=1)
    return np.array([nearness(*pair) for pair in zip(similarities, best, strict=True)])


@dataclass(frozen=True, slots=True)
class _Measured:
    """Similarity [N] and term coverage [N] of N queries."""

    similarity: NDArray[np.float64]
    terms: NDArray[np.float64]


def _pseudo_queries(index: Index) -> tuple[list[int], list[str]]:
    """Return keys of sampled chunks, and a sentence of each, cut to a query's length."""
    choose = random.Random(_SEED).choice
    keys, queries = [], []
    for key, chunk in _by_turns(index.sample_chunks(_DRAWN, _SEED)):
        sentences = [chunk.text[start:end].split() for start, end in spans(chunk.text)]
        whole = [words for words in sentences if len(words) >= _MIN_WORDS]
        if sentences:
            keys.append(key)
            queries.append(" ".join(choose(whole or sentences)[:_MAX_WORDS]))
    return keys, queries


def _by_turns(sample: Sequence[tuple[int, Chunk]]) -> list[tuple[int, Chunk]]:
    """Take chunks of each domain in turn, so that a large subject does not dominate the scale."""
    domains: dict[str | None, list[tuple[int, Chunk]]] = {}
    for key, chunk in sample:
        domains.setdefault(chunk.domain, []).append((key, chunk))
    turns = chain.from_iterable(zip_longest(*domains.values()))
    return list(islice((item for item in turns if item is not None), _SAMPLE))


def _measure(
    index: Index, queries: Sequence[str], experts: Sequence[str], vectors: FloatArray
) -> _Measured:
    """Measure queries by their vectors [N, P, D], one per expert."""
    return _Measured(
        similarity=_similarities(index, experts, vectors, [None] * len(queries)),
        terms=np.array([term_coverage(index.term_statistics(query)) for query in queries]),
    )


def _similarities(
    index: Index, experts: Sequence[str], vectors: FloatArray, exclude: Sequence[int | None]
) -> NDArray[np.float64]:
    """Similarity [N] of queries by their vectors [N, P, D], excluding one chunk for each."""
    return np.array(
        [
            index.best_similarity(dict(zip(experts, rows, strict=True)), exclude=key)
            for key, rows in zip(exclude, vectors, strict=True)
        ]
    )


def _contrast(
    about: NDArray[np.float64], unrelated: NDArray[np.float64], default: SignalContrast
) -> SignalContrast:
    return SignalContrast(
        about=_shrink(about, default.about),
        unrelated=_round(float(unrelated.mean()), float(unrelated.std())),
        min_deviation=default.min_deviation,
    )


def _shrink(values: NDArray[np.float64], prior: Spread) -> Spread:
    """Mean and deviation as if ``_PRIOR_WEIGHT`` values of the prior had also been observed."""
    share = _PRIOR_WEIGHT / (len(values) + _PRIOR_WEIGHT)
    mean = (1 - share) * float(values.mean()) + share * prior.mean
    observed = float(((values - mean) ** 2).mean())
    expected = prior.deviation**2 + (prior.mean - mean) ** 2
    return _round(mean, ((1 - share) * observed + share * expected) ** 0.5)


def _round(mean: float, deviation: float) -> Spread:
    return Spread(round(mean, 6), round(deviation, 6))
