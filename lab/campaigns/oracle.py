"""Exact search over the documents of a model: cosines by numpy, and BM25 from its formula."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from store_helper import HashingEmbedder
from store_model import StoreModel, Version

from expertrag_index.types import Chunk, Filter, FloatArray, MetadataValue

Place = tuple[str, int]
"""A chunk: the id of its document, and its place in it."""

_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6  # of a word in more than half of the chunks, as SQLite has it
_vectors: dict[tuple[str, str], FloatArray] = {}


def stored_vector(embedder: HashingEmbedder, expert: str, chunk: Chunk) -> FloatArray:
    """Return the vector [D] that the store must hold: of unit length, rounded to fp16."""
    key = embedder.fingerprint_of_expert(expert), chunk.embedding_text
    if key not in _vectors:
        vector = embedder.encode_query(chunk.embedding_text, expert)
        half = (vector / np.linalg.norm(vector)).astype(np.float16).astype(np.float32)
        _vectors[key] = half / np.linalg.norm(half)
    return _vectors[key]


def query_vectors(embedder: HashingEmbedder, query: str) -> dict[str, FloatArray]:
    """Return the vectors [D] of a query by expert."""
    experts = ("general", *embedder.experts)
    return {expert: embedder.encode_query(query, expert) for expert in experts}


def cosines(model: StoreModel, query: str, wanted: Filter) -> dict[Place, float]:
    """Return the cosine of each chunk that a filter admits."""
    vectors = query_vectors(model.embedder, query)
    return {
        (chunk.document_id, chunk.ordinal): float(
            stored_vector(model.embedder, version.expert, chunk) @ vectors[version.expert]
        )
        for version in admitted(model, wanted)
        for chunk in version.chunks
    }


def bm25(model: StoreModel, query: str, wanted: Filter) -> dict[Place, float]:
    """Return BM25 of each chunk that a filter admits and that has a word of the query.

    Robertson & Zaragoza 2009, with title and text as one field; the statistics are those of all
    live chunks.
    """
    pages = [words for version in model.live.values() for words in _words_of(version)]
    mean = sum(words.total() for words in pages) / len(pages) if pages else 0.0
    terms = list(dict.fromkeys(query.split()))
    idf = {}
    for term in terms:
        having = sum(term in words for words in pages)
        value = math.log((len(pages) - having + 0.5) / (having + 0.5))
        idf[term] = value if value > 0 else _LEAST_IDF
    found = {}
    for version in admitted(model, wanted):
        for chunk, words in zip(version.chunks, _words_of(version), strict=True):
            if any(term in words for term in terms):
                norm = _K1 * (1 - _B + _B * words.total() / mean)
                found[chunk.document_id, chunk.ordinal] = sum(
                    idf[term] * words[term] * (_K1 + 1) / (words[term] + norm) for term in terms
                )
    return found


def frequency(model: StoreModel, word: str) -> int:
    """Count the chunks that have a word."""
    return sum(word in words for version in model.live.values() for words in _words_of(version))


def admitted(model: StoreModel, wanted: Filter) -> list[Version]:
    """Return the live versions that a filter admits."""
    return [version for version in model.live.values() if _passes(version, wanted)]


def sizes(model: StoreModel, wanted: Filter) -> dict[str, int]:
    """Count the chunks that a filter admits, by expert."""
    found: Counter[str] = Counter()
    for version in admitted(model, wanted):
        found[version.expert] += len(version.chunks)
    return {expert: count for expert, count in found.items() if count}


def known_fields(model: StoreModel) -> set[str]:
    """Return the fields that a filter may name."""
    fields = {name for version in model.live.values() for name in version.document.metadata}
    return fields | {"domain", "source"}


@cache
def _words_of(version: Version) -> list[Counter[str]]:
    return [
        Counter(re.findall(r"[a-z0-9]+", f"{chunk.title} {chunk.text}".lower()))
        for chunk in version.chunks
    ]


def _passes(version: Version, wanted: Filter) -> bool:
    document = version.document
    fields: Mapping[str, MetadataValue | None] = {
        **document.metadata,
        "domain": document.domain,
        "source": document.source,
    }
    for name, condition in wanted.items():
        value = fields.get(name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        operators = condition if isinstance(condition, Mapping) else {"$eq": condition}
        if not all(_OPERATORS[sign](values, right) for sign, right in operators.items()):
            return False
    return True


_OPERATORS: Mapping[str, Callable[[Sequence[object], object], bool]] = {
    "$eq": lambda values, right: right in values,
    "$ne": lambda values, right: right not in values,
    "$in": lambda values, right: any(value in _sequence(right) for value in values),
    "$gte": lambda values, right: any(_order(value, right) >= 0 for value in values),
    "$gt": lambda values, right: any(_order(value, right) > 0 for value in values),
    "$lt": lambda values, right: any(_order(value, right) < 0 for value in values),
}


def _sequence(right: object) -> Sequence[object]:
    assert isinstance(right, list)
    return right


def _order(left: object, right: object) -> int:
    """Compare two values of one kind: -1, 0 or 1."""
    if isinstance(left, str) and isinstance(right, str):
        return (left > right) - (left < right)
    assert isinstance(left, int) and isinstance(right, int)
    return (left > right) - (left < right)
