"""Compares a store with its model by exact content."""

from __future__ import annotations

import math
import random
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from changes import backup_of, replica_of
from corpus import FILTERS, draw_labels, make_queries
from oracle import (
    Place,
    bm25,
    cosines,
    frequency,
    known_fields,
    query_vectors,
    sizes,
    stored_vector,
)
from store_model import StoreModel

from expertrag_index.errors import FilterError, SearchError, StoreNotFoundError
from expertrag_index.search.vector_rows import vectors_of
from expertrag_index.store import index as index_module
from expertrag_index.store.index import Index
from expertrag_index.store.layout import Layout
from expertrag_index.store.rows import StoredVectors
from expertrag_index.store.schema import connect_reader
from expertrag_index.types import Chunk, ChunkHit, Filter, TermStatistics
from expertrag_index.upkeep.backup import restore

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
    return found_among(path, models, rng)[1]


def found_among(
    path: Path, models: Sequence[StoreModel], rng: random.Random, *, any_number: bool = False
) -> tuple[int, StoreModel]:
    """Open a store like ``compare_any``; return also the place of its state among ``models``.

    :param any_number: do not compare the number of the generation.
    """
    try:
        index = Index.open(path)
    except StoreNotFoundError:
        for place, model in enumerate(models):
            if model.generation == 0:
                return place, model
        raise
    problem = ", ".join(str(model.generation) for model in models)
    problem = f"generation {index.generation} is published, not {problem}"
    with index:
        if index.degradation:
            raise BrokenPromiseError(f"an older generation answers: {index.degradation}")
        error = BrokenPromiseError(problem)
        for place, model in enumerate(models):
            if not any_number and not 0 <= index.generation - model.generation <= model.slack:
                continue
            try:
                compare(index, path, model, rng)
            except BrokenPromiseError as difference:  # it may be in another state of this number
                error = difference
            else:
                return place, replace(model, generation=index.generation, slack=0)
    raise error


def compare_copies(path: Path, models: Sequence[StoreModel], rng: random.Random) -> None:
    """Compare what lies beside a store in one of several states: backup and restored store.

    :raises BrokenPromiseError: one differs, or is missing.
    :raises IndexStoreError: one cannot be opened, or the backup cannot be restored.
    """
    again = path.with_name("again")
    backups = _known(backup_of(path), [one for model in models for one in model.backups])
    if backups:
        restore(backup_of(path), again)
        found_among(again, backups, rng, any_number=True)
        shutil.rmtree(again)
    replicas = _known(replica_of(path), [one for model in models for one in model.replicas])
    if replicas:
        found_among(replica_of(path), replicas, rng, any_number=True)


def _known(path: Path, models: Sequence[StoreModel | None]) -> list[StoreModel]:
    """Return what a copy may hold; nothing if it is not there and need not be."""
    known = [model for model in dict.fromkeys(models) if model]
    if path.exists():
        if not known:
            raise BrokenPromiseError(f"{path.name} is there before its first change")
    elif None in models:
        return []
    return known


def compare(
    index: Index,
    path: Path | None,
    model: StoreModel,
    rng: random.Random,
    queries: int = QUERIES,
) -> None:
    """Compare everything that readers can see with the model.

    One reader sees all documents, another one has random access labels.

    :param path: the store, to compare its vectors too; None: an older state of it is open.
    :raises BrokenPromiseError: anything differs.
    """
    # else no search with a filter in a small store would use FAISS
    index_module._EXACT_LIMIT = rng.choice((0, 256))
    places = _compare_content(index, model)
    if path and places:
        _compare_vectors(path, places, model)
    _compare_searches(index, places, model, make_queries(rng, queries), rng)
    labels = draw_labels(rng)
    try:
        _compare_restricted(index.restrict(labels), places, model.restricted(labels), rng)
    except WrongRankingError as error:
        raise WrongRankingError(f"for a reader with {labels}: {error}") from error
    except BrokenPromiseError as error:
        raise BrokenPromiseError(f"for a reader with {labels}: {error}") from error


def _compare_restricted(
    index: Index, all_places: Mapping[int, Place], model: StoreModel, rng: random.Random
) -> None:
    """Compare what a restricted reader sees, and that it reads no hidden chunk or document."""
    places = _compare_content(index, model)
    _compare_searches(index, places, model, make_queries(rng, 2), rng)
    hidden = {key: place for key, place in all_places.items() if key not in places}
    if hidden:
        key, (name, _) = rng.choice(list(hidden.items()))
        for read in (lambda: index.chunks([key]), lambda: index.document_text(name)):
            try:
                read()
            except SearchError:
                continue
            raise BrokenPromiseError(f"a hidden document is read: {name}")


def _compare_searches(
    index: Index,
    places: Mapping[int, Place],
    model: StoreModel,
    queries: Sequence[str],
    rng: random.Random,
) -> None:
    """Compare dense search, BM25 and the statistics of words, with and without a filter."""
    for query in queries:
        statistics = index.term_statistics(query)
        for wanted in ({}, rng.choice(FILTERS)):
            if not wanted.keys() <= known_fields(model):
                _must_refuse(index, query, wanted)
                continue
            _must_equal(f"partitions of {wanted}", index.partitions(wanted), sizes(model, wanted))
            found = index.search_dense(query_vectors(model.embedder, query), DEPTH, wanted)
            problem = _differs(found, cosines(model, query, wanted), places)
            if problem:
                raise BrokenPromiseError(f"dense search for {query!r}, {wanted}: {problem}")
            hits = index.search_lexical(query, DEPTH, wanted)
            problem = _differs(hits, bm25(model, query, wanted), places)
            problem = problem or _miscounts(statistics, model, len(places))
            if problem:
                raise WrongRankingError(f"BM25 for {query!r}, {wanted}: {problem}")


def _miscounts(statistics: Sequence[TermStatistics], model: StoreModel, size: int) -> str:
    """Tell how statistics of words differ from those of a model; empty if they do not."""
    for found in statistics:
        n = frequency(model, found.term)
        idf = math.log(1 + (size - n + 0.5) / (n + 0.5))
        if found.document_frequency != n or abs(found.idf - idf) > _ROUNDING:
            return f"{found} instead of {n} chunks, {idf:.6f}"
    return ""


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
    _must_equal("partitions", dict(manifest.partitions), sizes(model, {}))
    _must_equal("counts", (manifest.documents, manifest.chunks), (len(model.live), len(found)))
    _must_equal("fields", {*manifest.fields, "domain", "source"}, known_fields(model))
    domains = Counter(document.domain for document in model.documents.values())
    domains.pop(None, None)
    _must_equal("domains", dict(manifest.domains), dict(domains))
    _must_equal("embedder", manifest.embedder.fingerprint, model.embedder.fingerprint)
    return {key: (chunk.document_id, chunk.ordinal) for key, chunk in found.items()}


def _compare_vectors(path: Path, places: Mapping[int, Place], model: StoreModel) -> None:
    with closing(connect_reader(Layout(path).database)) as connection:
        keys = np.array(list(places), np.int64)
        found = vectors_of(StoredVectors(connection), keys)
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
