"""What a store is about: how near its own sentences, and unrelated requests, lie to it.

When a generation is built, sentences of sampled chunks serve as pseudo-queries and the requests of
``background`` as their opposite. Coarse similarity and term coverage of both are kept in the
manifest, so that a later query can be placed between the two without a search, without labels and
for any embedder.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from expertrag_index.sentences import spans
from expertrag_retriever.gate.background import BACKGROUND
from expertrag_retriever.gate.terms import term_coverage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from expertrag_index.index import Index
    from expertrag_index.manifest import JSON
    from expertrag_retriever.encoder import SentenceTransformerEmbedder

PSEUDO_QUERIES = 200
"""Chunks sampled. Embedding them takes about 2 s on 2 cores; the mean is then known to 0.01."""

_SEED = 0
_MIN_WORDS = 4
_MAX_WORDS = 20  # a query's length; longer sentences lie nearer to the centroids than queries do
_QUANTILES = 21
_PRIOR_WEIGHT = 4.0  # pseudo-queries that the defaults count for: a store of one page has few


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and standard deviation of one signal over one kind of query."""

    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """One signal for queries that the store is about and for those that it is not."""

    about: Spread
    unrelated: Spread
    min_deviation: float

    def evidence(self, value: float) -> float:
        """Log odds, in nats, that a query with this value is about the store.

        Two normal distributions of one (pooled) deviation, as in linear discriminant analysis, so
        that evidence only rises with the value. 0 when the store cannot tell the two kinds apart.
        """
        gap = self.about.mean - self.unrelated.mean
        if gap <= 0:
            return 0.0
        pooled = (self.about.deviation**2 + self.unrelated.deviation**2) / 2
        middle = (self.about.mean + self.unrelated.mean) / 2
        return (value - middle) * gap / max(pooled, self.min_deviation**2)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The calibration of a store: ``quantiles`` are of its pseudo-queries' similarity, rising."""

    similarity: Contrast
    terms: Contrast
    quantiles: tuple[float, ...]

    def of(self, similarity: float) -> float:
        """Share in [0, 1] of the store's pseudo-queries that are less similar than this query."""
        levels = np.linspace(0.0, 1.0, len(self.quantiles))
        return float(np.interp(similarity, self.quantiles, levels))


# Means over squad2, fiqa_small, tatqa, policyqa, cranfield and pubmedqa with all-MiniLM-L6-v2.
DEFAULT = Coverage(
    similarity=Contrast(Spread(0.48, 0.15), Spread(0.12, 0.08), min_deviation=0.05),
    terms=Contrast(Spread(0.75, 0.15), Spread(0.55, 0.25), min_deviation=0.10),
    quantiles=tuple(np.linspace(0.18, 0.78, _QUANTILES).tolist()),
)


def calibrate_coverage(index: Index, embedder: SentenceTransformerEmbedder) -> Mapping[str, JSON]:
    """Measure what ``index`` is about; the result goes into its manifest under ``coverage``.

    A pseudo-query's own chunk is among those that the centroids were made of; with √n centroids
    it is one of √n in its cluster, which shifts the similarity by less than 0.01 from about
    1,000 chunks on.
    """
    queries = _pseudo_queries(index)
    if not queries:
        return {}
    about = _measure(index, queries, embedder)
    unrelated = _measure(index, BACKGROUND, embedder)
    similarity, terms = (
        Contrast(
            _shrunk(about[column], default.about),
            _spread(unrelated[column]),
            default.min_deviation,
        )
        for column, default in enumerate((DEFAULT.similarity, DEFAULT.terms))
    )
    quantiles = np.quantile(about[0], np.linspace(0.0, 1.0, _QUANTILES))
    coverage = Coverage(similarity, terms, tuple(quantiles.round(6).tolist()))
    return cast("Mapping[str, JSON]", asdict(coverage))


def read_coverage(calibration: Mapping[str, JSON]) -> Coverage:
    """Read a manifest's ``calibration``; the defaults where the store has none."""
    stored = calibration.get("coverage")
    if not stored:
        return DEFAULT
    fields = cast("Mapping[str, Mapping[str, Mapping[str, float]]]", stored)
    similarity, terms = (
        Contrast(
            Spread(**fields[name]["about"]),
            Spread(**fields[name]["unrelated"]),
            cast("float", fields[name]["min_deviation"]),
        )
        for name in ("similarity", "terms")
    )
    return Coverage(similarity, terms, tuple(cast("Sequence[float]", fields["quantiles"])))


def _pseudo_queries(index: Index) -> list[str]:
    """One sentence of each sampled chunk, cut to a query's length."""
    choose = random.Random(_SEED).choice
    queries = []
    for _, chunk in index.sample_chunks(PSEUDO_QUERIES, _SEED):
        sentences = [chunk.text[start:end].split() for start, end in spans(chunk.text)]
        whole = [words for words in sentences if len(words) >= _MIN_WORDS]
        if sentences:
            queries.append(" ".join(choose(whole or sentences)[:_MAX_WORDS]))
    return queries


def _measure(
    index: Index, queries: Sequence[str], embedder: SentenceTransformerEmbedder
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coarse similarity [N] and term coverage [N] of each query."""
    vectors = embedder.encode_queries(queries)  # [N, D]
    similarity = np.array([index.coarse_similarity(vector) for vector in vectors])
    terms = np.array([term_coverage(index.term_statistics(query)) for query in queries])
    return similarity, terms


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(round(float(values.mean()), 6), round(float(values.std()), 6))


def _shrunk(values: NDArray[np.float64], prior: Spread) -> Spread:
    """Mean and deviation as if ``_PRIOR_WEIGHT`` values of the prior had been seen too."""
    weight = _PRIOR_WEIGHT / (len(values) + _PRIOR_WEIGHT)
    mean = (1 - weight) * float(values.mean()) + weight * prior.mean
    around = (1 - weight) * float(((values - mean) ** 2).mean())
    variance = around + weight * (prior.deviation**2 + (prior.mean - mean) ** 2)
    return Spread(round(mean, 6), round(variance**0.5, 6))
