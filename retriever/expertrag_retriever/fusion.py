"""How cosine and BM25 are added up: a weight for the corpus, and evidence in the query.

    score(q, c) = cos(q, c) + w · e(q) · BM25(q, c)
    w    = 0.26 s         s: spread of the cosines between the corpus and queries about it
    e(q) = (1 + 2 [q holds a number] + 2 · share of capitalised words in q)
         · (1.1 - BM25 of the tenth chunk / BM25 of the first)

Why this form (nDCG@10 on the train splits, one fixed setting for all; "worst" is the largest loss
against the better half on any set, "gain" the mean one over it):

- Scores, not ranks: reciprocal rank fusion loses up to 0.17 where one half is much better.
- BM25 as it is, not divided by the query's best: BM25 is a sum of log-odds, so that rare words
  earn a larger share by themselves. Worst -0.017 against -0.025, gain 0.017 against 0.013.
- Numbers and names are where a dense vector is least exact and a word match most telling: worst
  -0.008, gain 0.021. A BM25 that singles out few chunks has found telling words, one that rates
  many alike has not: worst -0.006, gain 0.022.
- s puts the cosine on a scale that is the same for every embedder and corpus.

What was tried and dropped: how well either half finds the chunk that a pseudo-query was cut from.
That favours BM25 on code, where people's words are not those of the text (dense 0.49, BM25 0.57;
their questions 0.60, 0.38), and the dense half on Wikipedia (0.65, 0.52; 0.78, 0.89).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.sentences import spans

if TYPE_CHECKING:
    from expertrag_index.index import Index
    from expertrag_index.manifest import JSON
    from expertrag_retriever.base import Embedder

_WEIGHT_PER_SPREAD = 0.26
_DEFAULT_SPREAD = 0.1
"""Of MiniLM, 0.09 to 0.11 on 14 corpora; for stores too small to measure or not calibrated."""

_CONTRAST_RANK = 10
_CHUNKS = 256
_PSEUDO_QUERIES = 64  # standard error of sigma below 1 %
_FEWEST_CHUNKS = 32
_MOST_WORDS = 20
_SEED = 0


def calibrate_fusion(index: Index, embedder: Embedder) -> Mapping[str, JSON]:
    """Choose the weight of BM25 for a corpus without labels.

    Pseudo-queries (one sentence of a sampled chunk each) are compared with a sample of the
    chunks; the spread of their cosines sets the weight. The result goes into the manifest.
    """
    sample = index.sample_chunks(_CHUNKS, _SEED)
    keys = [key for key, _ in sample]
    queries = [_pseudo_query(chunk.text, row) for row, (_, chunk) in enumerate(sample)]
    queries = [query for query in queries if query][:_PSEUDO_QUERIES]
    spread = _DEFAULT_SPREAD
    if len(keys) >= _FEWEST_CHUNKS and queries:
        vectors = embedder.encode_queries(queries)  # [Q, D]
        spread = float(np.mean([index.dense_scores(vector, keys).std() for vector in vectors]))
    return {
        "lexical_weight": round(_WEIGHT_PER_SPREAD * spread, 6),
        "cosine_spread": round(spread, 6),
        "pseudo_queries": len(queries),
    }


def corpus_weight(calibration: Mapping[str, JSON]) -> float:
    """Weight w of BM25 as a manifest's calibration states it, or the default."""
    fusion = calibration.get("fusion")
    weight = fusion.get("lexical_weight") if isinstance(fusion, Mapping) else None
    if isinstance(weight, int | float):
        return float(weight)
    return _WEIGHT_PER_SPREAD * _DEFAULT_SPREAD


def query_evidence(query: str, best: Sequence[float]) -> float:
    """Evidence e(q) in [0.1, 5.5) that the words themselves matter.

    The first word is capitalised in any sentence, and says nothing; nor do capitals when every
    word has them.

    :param best: BM25 of the chunks found, best first.
    """
    words = query.split()
    number = any(character.isdigit() for character in query)
    capitals = [word[0].isupper() for word in words[1:]]
    named = 0.0 if not capitals or all(capitals) else sum(capitals) / len(capitals)
    tenth = best[_CONTRAST_RANK - 1] if len(best) >= _CONTRAST_RANK else 0.0
    contrast = 1.0 - tenth / best[0] if best and best[0] > 0.0 else 0.0
    return (1.0 + 2.0 * number + 2.0 * named) * (0.1 + contrast)


def _pseudo_query(text: str, seed: int) -> str:
    """One sentence of a text, cut to the length of a query."""
    sentences = [text[start:end].split() for start, end in spans(text)]
    if not sentences:
        return ""
    return " ".join(random.Random(seed).choice(sentences)[:_MOST_WORDS])
