"""Maps the scores of all experts onto the scale of the base model, without labels.

Each expert shifts its cosines in its own way, so that a mediocre hit of one may score above the
best hit of another. For each partition, the expert and the base model compare pseudo-queries with a
sample of its chunks. Pseudo-queries are sentences of its chunks and of other partitions' chunks.
The map ``scale * cosine + shift`` gives the expert's best scores the mean and the spread of the
base model's. It does not change the order within a partition.

Half of the pseudo-queries are about other subjects, because a partition must not answer those. For
a legal expert, the ten best scores are .35 on its own queries (base .48) and .16 on queries about
other subjects (base .15). Fitted to its own queries alone, the map would raise all scores by .11,
and its chunks above the right ones.

    Q pseudo-queries, C chunks of the sample, D dimensions
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.search.scales import Scale
from expertrag_retriever.experts.settings import GENERAL
from expertrag_retriever.pseudo import pseudo_query

if TYPE_CHECKING:
    from expertrag_index.store.index import Index
    from expertrag_index.store.manifest import JSON
    from expertrag_index.types import FloatArray
    from expertrag_retriever.base import Embedder

_CHUNKS = 256
_PSEUDO_QUERIES = 64  # of the partition, and as many of the others
_FEWEST_CHUNKS = 32  # with fewer chunks, the ten best include poor ones
_TOP = 10  # scores per query that are compared: those that a search would return
_SEED = 0
_DRIFT = 0.2  # relative change in size up to which a scale is kept: measuring takes seconds
_LEAST_SPREAD = 1e-3  # a smaller spread is rounding of the stored vectors


def calibrate_partitions(index: Index, embedder: Embedder) -> dict[str, Mapping[str, JSON]]:
    """Measure the scale of each expert's partition; the result goes into the manifest.

    The manifest of ``index`` holds the scale of the last generation. That scale is kept if neither
    the partition nor the others have changed much in size. The base model's partition needs no
    scale; a partition that is too small to measure gets the identity.
    """
    raw = index.rescale({})
    stored = index.manifest.calibration.get("partitions")
    last = stored if isinstance(stored, Mapping) else {}
    calibrations: dict[str, Mapping[str, JSON]] = {}
    partitions = index.partitions()
    for expert, chunks in partitions.items():
        if expert == GENERAL:
            continue
        sizes = {"chunks": chunks, "other_chunks": sum(partitions.values()) - chunks}
        before = last.get(expert)
        if isinstance(before, Mapping) and _still_holds(before, sizes):
            calibrations[expert] = before
        else:
            calibrations[expert] = {**_measure(raw, embedder, expert), **sizes}
    return calibrations


def _still_holds(before: Mapping[str, JSON], sizes: Mapping[str, int]) -> bool:
    return all(
        isinstance(measured := before.get(name), int) and abs(size - measured) <= _DRIFT * measured
        for name, size in sizes.items()
    )


def _measure(raw: Index, embedder: Embedder, expert: str) -> Mapping[str, JSON]:
    sample = raw.sample_chunks(_CHUNKS, _SEED, expert)
    queries = [*_pseudo_queries(raw, expert), *_foreign_queries(raw, expert)]
    scale = Scale()
    if len(sample) >= _FEWEST_CHUNKS and queries:
        vectors = embedder.encode_queries_by_experts(queries, (expert, GENERAL))  # [Q, 2, D]
        keys = [key for key, _ in sample]
        texts = [chunk.embedding_text for _, chunk in sample]
        own = np.stack([raw.dense_scores({expert: vector}, keys) for vector in vectors[:, 0]])
        base = vectors[:, 1] @ embedder.encode_documents(texts, GENERAL).T
        scale = fit_scale(own, base)
    return {"scale": scale.scale, "shift": scale.shift, "pseudo_queries": len(queries)}


def _pseudo_queries(index: Index, expert: str) -> list[str]:
    chunks = index.sample_chunks(2 * _PSEUDO_QUERIES, _SEED, expert)
    queries = (pseudo_query(chunk.text, row) for row, (_, chunk) in enumerate(chunks))
    return [query for query in queries if query][:_PSEUDO_QUERIES]


def _foreign_queries(index: Index, expert: str) -> list[str]:
    """Pseudo-queries of the other partitions, in proportion to their sizes."""
    others = {name: count for name, count in index.partitions().items() if name != expert}
    total = sum(others.values())
    queries = []
    for name, count in others.items():
        share = round(_PSEUDO_QUERIES * count / total)
        queries += _pseudo_queries(index, name)[:share]
    return queries


def fit_scale(expert: FloatArray, base: FloatArray) -> Scale:
    """Fit the scale of an expert's cosines [Q, C] to the base model's [Q, C] of the same texts.

    Uses the ten best scores of each query by each model.
    """
    own, target = _best(expert), _best(base)
    spread, target_spread = float(own.std()), float(target.std())
    if min(spread, target_spread) < _LEAST_SPREAD:
        return Scale()
    scale = target_spread / spread
    shift = float(target.mean()) - scale * float(own.mean())
    return Scale(round(scale, 6), round(shift, 6))


def _best(scores: FloatArray) -> FloatArray:
    """Return the best scores of each row, [Q, ≤ 10]."""
    best: FloatArray = -np.sort(-scores, axis=1)[:, :_TOP]
    return best
