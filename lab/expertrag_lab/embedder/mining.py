"""Mines hard negatives for every pair, and the document pool of the dev slice.

A hard negative is a document that the base model ranks high for a query but that does not answer
it. Ranks 1 to 10 contain many unjudged documents that do answer it. So a negative must be less
similar than the positive by a margin (NV-Retriever, Moreira et al. 2024, "TopK-PercPos"). A dev
query is ranked among its nearest documents, where models differ, and some random ones.

    Q queries, N documents, D dimensions
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from expertrag_index.types import FloatArray
from expertrag_lab.embedder.types import DevSet, Example, Source

Encode = Callable[[Sequence[str]], FloatArray]
"""Unit vectors (N, D) of texts."""

DEV_POOL = 600
"""Documents of a dev set, in addition to those that answer its queries."""

_DEEPEST = 50
_MARGIN = 0.05  # a negative's similarity is lower than the positive's by at least this share
_DEV_DEPTH = 20
_DEV_RANDOM = 0.25  # share of a dev pool that is drawn from the whole corpus


@dataclass(frozen=True, slots=True)
class Mined:
    """Examples of a source, and its dev set; None if no query is held out."""

    examples: list[Example]
    dev: DevSet | None


def mine(
    source: Source,
    held_out: Source,
    encode_queries: Encode,
    encode_documents: Encode,
    *,
    negatives: int = 1,
    most_documents: int = 5000,
    seed: int = 0,
) -> Mined:
    """Make an example of every pair, with up to ``negatives`` hard negatives of its own corpus.

    A pair gets none if all documents are as similar to its query as its own document.

    :param held_out: the same source with the pairs of its dev queries.
    :param most_documents: most documents of the corpus to search; the documents of the pairs are
        always included.
    """
    ids = _documents(source, held_out, most_documents, seed)
    vectors = encode_documents([source.corpus[name] for name in ids])  # [N, D]
    queries = list(dict.fromkeys(pair.query for pair in (*source.pairs, *held_out.pairs)))
    asked = dict(zip(queries, encode_queries(queries), strict=True))
    return Mined(
        _examples(source, ids, vectors, asked, negatives, seed),
        _dev_set(held_out, ids, vectors, asked, seed) if held_out.pairs else None,
    )


def _documents(source: Source, held_out: Source, most: int, seed: int) -> list[str]:
    """Return the ids of the documents of all pairs, and of others up to a limit."""
    needed = {pair.document for pair in (*source.pairs, *held_out.pairs)}
    others = sorted(source.corpus.keys() - needed)
    room = min(len(others), max(0, most - len(needed)))
    return sorted(needed | set(random.Random(seed).sample(others, room)))


def _examples(
    source: Source,
    ids: Sequence[str],
    vectors: FloatArray,
    asked: Mapping[str, FloatArray],
    negatives: int,
    seed: int,
) -> list[Example]:
    place = {name: row for row, name in enumerate(ids)}
    answers = source.answers()
    rng = random.Random(seed)
    examples = []
    for pair in source.pairs:
        scores = vectors @ asked[pair.query]  # [N]
        own = answers[pair.query]
        answer = scores[place[pair.document]]
        wrong = scores <= answer - _MARGIN * abs(answer)
        wrong[[place[name] for name in own if name in place]] = False
        rows = np.flatnonzero(wrong)
        hard = rows[_nearest(scores[rows], _DEEPEST)].tolist()
        chosen = rng.sample(hard, min(negatives, len(hard)))
        examples.append(
            Example(
                query=pair.query,
                positive_id=source.identity(pair.document),
                positive=source.corpus[pair.document],
                negatives=tuple(
                    (source.identity(ids[row]), source.corpus[ids[row]]) for row in chosen
                ),
                known_positives=frozenset(map(source.identity, own)),
            )
        )
    return examples


def _dev_set(
    held_out: Source,
    ids: Sequence[str],
    vectors: FloatArray,
    asked: Mapping[str, FloatArray],
    seed: int,
) -> DevSet:
    place = {name: row for row, name in enumerate(ids)}
    # some judged documents beyond the pairs are not among the sampled documents
    answers = {query: some & place.keys() for query, some in held_out.answers().items()}
    near = {row for query in answers for row in _nearest(vectors @ asked[query], _DEV_DEPTH)}
    rng = random.Random(seed)
    drawn = int(DEV_POOL * _DEV_RANDOM)
    pool = set(rng.sample(range(len(ids)), min(len(ids), drawn)))
    pool |= set(rng.sample(sorted(near), min(len(near), DEV_POOL - drawn)))
    pool |= {place[name] for some in answers.values() for name in some}
    order = sorted(pool)
    position = {ids[row]: number for number, row in enumerate(order)}
    return DevSet(
        name=held_out.name,
        queries=tuple(answers),
        documents=tuple(held_out.corpus[ids[row]] for row in order),
        relevant=tuple(frozenset(position[name] for name in some) for some in answers.values()),
    )


def _nearest(scores: FloatArray, depth: int) -> list[int]:
    """Return the rows of the best scores, best first."""
    depth = min(depth, len(scores))
    if not depth:
        return []
    top = np.argpartition(-scores, depth - 1)[:depth]
    rows: list[int] = top[np.argsort(-scores[top], kind="stable")].tolist()
    return rows
