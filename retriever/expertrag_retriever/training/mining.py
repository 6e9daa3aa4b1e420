"""Hard negatives: documents that the base model ranks high for a query but that do not answer it.

Ranks 1 to 10 hold many documents that do answer it and were never judged, so that a negative must
be judged irrelevant by distance: less similar than the positive by a margin (NV-Retriever,
Moreira et al. 2024, "TopK-PercPos").

    Q queries, N documents, D dimensions
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from expertrag_index.types import FloatArray
from expertrag_retriever.training.types import Example, Source

Encode = Callable[[Sequence[str]], FloatArray]
"""Unit vectors (N, D) of texts."""

_DEEPEST = 50
_SHARE = 0.95  # a negative is at most this share as similar as the positive
_BLOCK = 256


def mine(source: Source, encode: Encode, *, negatives: int = 1, seed: int = 0) -> list[Example]:
    """Make an example of every pair, with up to ``negatives`` hard negatives of its own corpus."""
    ids = list(source.corpus)
    vectors = encode([source.corpus[name] for name in ids])  # [N, D]
    place = {name: row for row, name in enumerate(ids)}
    relevant: dict[str, set[str]] = {}
    for pair in source.pairs:
        relevant.setdefault(pair.query, set()).add(pair.document)
    rng = random.Random(seed)
    ranked = dict(zip(relevant, _ranked(encode(list(relevant)), vectors), strict=True))
    examples = []
    for pair in source.pairs:
        rows, scores = ranked[pair.query]
        own = relevant[pair.query]
        limit = _SHARE * scores[place[pair.document]]
        hard = [row for row in rows if ids[row] not in own and scores[row] <= limit]
        hard = hard or [row for row in range(len(ids)) if ids[row] not in own]
        chosen = rng.sample(hard, min(negatives, len(hard)))
        examples.append(
            Example(
                query=pair.query,
                positive_id=f"{source.name}/{pair.document}",
                positive=source.corpus[pair.document],
                negatives=tuple(source.corpus[ids[row]] for row in chosen),
                shunned=frozenset(f"{source.name}/{name}" for name in own),
            )
        )
    return examples


def _ranked(queries: FloatArray, documents: FloatArray) -> Iterator[tuple[list[int], FloatArray]]:
    """Yield for each query the rows of its nearest documents, and the cosines with all."""
    depth = min(_DEEPEST, len(documents))
    for start in range(0, len(queries), _BLOCK):
        for scores in queries[start : start + _BLOCK] @ documents.T:  # [N]
            top = np.argpartition(-scores, depth - 1)[:depth]
            yield top[np.argsort(-scores[top])].tolist(), scores
