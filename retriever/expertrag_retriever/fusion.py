"""How cosine and BM25 are added up: a weight for the corpus, and evidence in the query.

    score(q, c) = cos(q, c) + w · e(q) · BM25(q, c)
    w    = 0.72 s          s: spread of the cosines between the corpus and queries about it
    e(q) = (1 + 2 [q holds a number] + 4 · share of capitalised words in q)
         · (1.1 - BM25 of the tenth chunk / BM25 of the first)
         / (1.5 + (cosine of the first chunk - cosine of the tenth) / s)

Why this form (nDCG@10 on the train splits, one fixed setting for all; "worst" is the largest loss
against the better half on any set, "gain" the mean one over it):

- Scores, not ranks: reciprocal rank fusion loses up to 0.17 where one half is much better.
- BM25 as it is, not divided by the query's best: BM25 is a sum of log-odds, so that rare words
  earn a larger share by themselves. Worst -0.017 against -0.025, gain 0.017 against 0.013.
- Numbers and names are where a dense vector is least exact and a word match most telling: worst
  -0.008, gain 0.020.
- Contrast: a half that singles out few chunks knows more than one that rates many alike: worst
  -0.005, gain 0.022. The optimum is flat: every constant may double or halve for 0.003.
- s puts the cosine on a scale that is the same for every embedder and corpus.

What was tried and dropped: how well either half finds the chunk that a pseudo-query was cut from.
That favours BM25 on code, where people's words are not those of the text (dense 0.49, BM25 0.57;
their questions 0.60, 0.38), and the dense half on Wikipedia (0.65, 0.52; 0.78, 0.89).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.sentences import spans

if TYPE_CHECKING:
    from expertrag_index.index import Index
    from expertrag_index.manifest import JSON
    from expertrag_retriever.base import Embedder

_WEIGHT_PER_SPREAD = 0.72
_NUMBER = 2.0
_NAMES = 4.0
_RANK = 10  # contrast compares the first chunk with this one
_DEFAULT_SPREAD = 0.1
"""Of MiniLM, 0.09 to 0.11 on 14 corpora; for stores too small to measure or not calibrated."""

_CHUNKS = 256
_PSEUDO_QUERIES = 64  # standard error of sigma below 1 %
_FEWEST_CHUNKS = 32
_MOST_WORDS = 20
_SEED = 0


@dataclass(frozen=True, slots=True)
class Fusion:
    """How BM25 is weighed in one corpus.

    ``spread``: standard deviation of the cosines between its chunks and queries about them.
    """

    spread: float = _DEFAULT_SPREAD

    @classmethod
    def of(cls, calibration: Mapping[str, JSON]) -> Fusion:
        """Read what a manifest's calibration says; the default for a store without one."""
        stored = calibration.get("fusion")
        spread = stored.get("cosine_spread") if isinstance(stored, Mapping) else None
        return cls(float(spread)) if isinstance(spread, int | float) and spread > 0 else cls()

    @property
    def corpus_weight(self) -> float:
        """Weight w, in cosine per unit of BM25, before the evidence of a query."""
        return _WEIGHT_PER_SPREAD * self.spread

    def query_weight(self, query: str, bm25: Sequence[float], cosines: Sequence[float]) -> float:
        """Weight w · e(q) of BM25 for one query.

        :param bm25: BM25 of the chunks found by words, best first.
        :param cosines: cosines of the chunks found by meaning, best first.
        """
        if not bm25 or bm25[0] <= 0.0 or not cosines:
            return self.corpus_weight
        tenth = bm25[_RANK - 1] if len(bm25) >= _RANK else 0.0
        lexical = 1.1 - tenth / bm25[0]
        dense = 1.5 + (cosines[0] - cosines[:_RANK][-1]) / self.spread
        return self.corpus_weight * _telling_words(query) * lexical / dense


def calibrate_fusion(index: Index, embedder: Embedder) -> Mapping[str, JSON]:
    """Choose the weight of BM25 for a corpus without labels.

    Pseudo-queries (one sentence of a sampled chunk each) are compared with a sample of the
    chunks; the spread of their cosines sets the weight. The result goes into the manifest.
    """
    sample = index.sample_chunks(_CHUNKS, _SEED)
    keys = [key for key, _ in sample]
    queries = [_pseudo_query(chunk.text, row) for row, (_, chunk) in enumerate(sample)]
    queries = [query for query in queries if query][:_PSEUDO_QUERIES]
    fusion = Fusion()
    if len(keys) >= _FEWEST_CHUNKS and queries:
        vectors = embedder.encode_queries(queries)  # [Q, D]
        spreads = [index.dense_scores(vector, keys).std() for vector in vectors]
        fusion = Fusion(round(float(np.mean(spreads)), 6))
    return {
        "cosine_spread": fusion.spread,
        "lexical_weight": round(fusion.corpus_weight, 6),
        "pseudo_queries": len(queries),
    }


def _telling_words(query: str) -> float:
    """Evidence in [1, 7) from numbers and names.

    The first word is capitalised in any sentence, and says nothing; nor do capitals when every
    word has them.
    """
    words = query.split()
    number = any(character.isdigit() for character in query)
    capitals = [word[0].isupper() for word in words[1:]]
    named = 0.0 if not capitals or all(capitals) else sum(capitals) / len(capitals)
    return 1.0 + _NUMBER * number + _NAMES * named


def _pseudo_query(text: str, seed: int) -> str:
    """One sentence of a text, cut to the length of a query."""
    sentences = [text[start:end].split() for start, end in spans(text)]
    if not sentences:
        return ""
    return " ".join(random.Random(seed).choice(sentences)[:_MOST_WORDS])
