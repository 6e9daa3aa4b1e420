"""Compares a store with its model by exact content."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from corpus import FILTERS, make_queries
from oracle import Place, bm25, cosines, known_fields, query_vectors, stored_vector
from store_model import StoreModel

from expertrag_index.errors import FilterError, StoreNotFoundError
from expertrag_index.index import Index
from expertrag_index.layout import Layout
from expertrag_index.rows import vectors_of
from expertrag_index.schema import connect_reader
from expertrag_index.types import Chunk, ChunkHit, Filter

QUERIES = 3
DEPTH = 10
_ROUNDING = 1e-5  # of float32 sums in another order


class BrokenPromiseError(Exception):
    """A store does not hold what its model does."""


class WrongRankingError(BrokenPromiseError):
    """BM25 differs from that of the same chunks; everything compared before is right."""


def compare_any(path: Path, models: Sequence[StoreModel], rng: random.Random) -> StoreModel:
    """Open a store that must be in one of several states; return that state.

    :raises BrokenPromiseError: it is in none of them, or an older generation answers.
    :raises IndexStoreError: it cannot be opened.
    """
    try:
        index = Index.open(path)
    except StoreNotFoundError:
        for model in models:
            if model.generation == 0:
                return model
        raise
    with index:
        if index.degraded:
            raise BrokenPromiseError(f"an older generation answers: {index.degraded}")
        for model in models:
            if model.generation == index.generation:
                return compare(index, path, model, rng)
    allowed = ", ".join(str(model.generation) for model in models)
    raise BrokenPromiseError(f"generation {index.generation} is published, not {allowed}")


def compare(
    index: Index,
    path: Path | None,
    model: StoreModel,
    rng: random.Random,
    queries: int = QUERIES,
) -> StoreModel:
    """Compare everything that a reader can see with the model; return the model.

    :param path: the store, to compare its vectors too; None: an older state of it is open.

    Of the possible states of the full-text index, the returned model has those that explain all
    scores.

    :raises BrokenPromiseError: anything differs.
    """
    places = _compare_content(index, model)
    if path and places:
        _compare_vectors(path, places, model)
    counted = model.possible
    for query in make_queries(rng, queries):
        for wanted in ({}, rng.choice(FILTERS)):
            if not wanted.keys() <= known_fields(model):
                _must_refuse(index, query, wanted)
                continue
            found = index.search_dense(query_vectors(model.embedder, query), DEPTH, wanted)
            problem = _differs(found, cosines(model, query, wanted), places)
            if problem:
                raise BrokenPromiseError(f"dense search for {query!r}, {wanted}: {problem}")
            hits = index.search_lexical(query, DEPTH, wanted)
            problems = [
                _differs(hits, bm25(model, versions, query, wanted), places) for versions in counted
            ]
            if all(problems):
                raise WrongRankingError(f"BM25 for {query!r}, {wanted}: {problems[0]}")
            pairs = zip(counted, problems, strict=True)
            counted = [versions for versions, problem in pairs if not problem]
    return replace(model, counted=tuple(counted))


def _compare_content(index: Index, model: StoreModel) -> dict[int, Place]:
    """Compare documents and chunks; return the place of each chunk by its key."""
    wanted = {
        (chunk.document_id, chunk.ordinal): chunk
        for version in model.live.values()
        for chunk in version.chunks
    }
    found = dict(index.sample_chunks(max(1, index.size)))
    seen: dict[Place, Chunk] = {
        (chunk.document_id, chunk.ordinal): chunk for chunk in found.values()
    }
    if len(seen) != len(found) or len(found) != index.size:
        raise BrokenPromiseError(f"{len(found)} chunks, {len(seen)} of them distinct")
    _must_equal("chunks", seen, wanted)
    texts = {name: index.document_text(name) for name, _ in seen}
    _must_equal("texts", texts, {name: one.text for name, one in model.documents.items()})
    manifest = index.manifest
    partitions: dict[str, int] = {}
    for version in model.live.values():
        if version.chunks:
            size = partitions.get(version.expert, 0) + len(version.chunks)
            partitions[version.expert] = size
    _must_equal("partitions", dict(manifest.partitions), partitions)
    _must_equal("counts", manifest.documents, len(model.live))
    _must_equal("embedder", manifest.embedder.fingerprint, model.embedder.fingerprint)
    return {key: (chunk.document_id, chunk.ordinal) for key, chunk in found.items()}


def _compare_vectors(path: Path, places: Mapping[int, Place], model: StoreModel) -> None:
    with closing(connect_reader(Layout(path).database)) as connection:
        found = vectors_of(connection, np.array(list(places), np.int64))
    wanted = np.stack(
        [
            stored_vector(model.embedder, version.expert, version.chunks[ordinal])
            for version, ordinal in ((model.live[name], n) for name, n in places.values())
        ]
    )
    if found.shape != wanted.shape or not np.allclose(found, wanted, atol=_ROUNDING):
        raise BrokenPromiseError("the vectors differ")


def _differs(
    hits: Sequence[ChunkHit], exact: Mapping[Place, float], places: Mapping[int, Place]
) -> str:
    """Tell how hits differ from an exact search; empty if they do not. Ties may be in any order."""
    if len({hit.key for hit in hits}) < len(hits) or not {hit.key for hit in hits} <= set(places):
        return "a chunk twice, or one that is not live"
    best = sorted(exact.values(), reverse=True)[:DEPTH]
    if len(hits) != len(best):
        return f"{len(hits)} hits instead of {len(best)}"
    for hit, score in zip(hits, best, strict=True):
        own = exact.get(places[hit.key])
        if own is None or abs(hit.score - own) > _ROUNDING or abs(hit.score - score) > _ROUNDING:
            return f"{places[hit.key]} scores {hit.score:.6f}, exactly {own}, wanted {score:.6f}"
    return ""


def _must_equal(what: str, found: object, wanted: object) -> None:
    if found == wanted:
        return
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        names = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        raise BrokenPromiseError(f"{what} differ: {len(names)}, such as {names[0]!r}")
    raise BrokenPromiseError(f"{what}: {found!r} instead of {wanted!r}")


def _must_refuse(index: Index, query: str, wanted: Filter) -> None:
    try:
        index.search_lexical(query, DEPTH, wanted)
    except FilterError:
        return
    raise BrokenPromiseError(f"the filter {wanted} names an unknown field and was not refused")
