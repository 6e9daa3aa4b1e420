"""Score fusion: adds cosine and BM25 with a weight per corpus and evidence from the query.

    score(q, c) = cos(q, c) + w · e(q) · BM25(q, c)
    w    = spread of the cosines between the corpus and queries about it, chosen per corpus
    e(q) = 1.15 · (1 + 2 [q holds a number] + 3 · share of names in q)
         · (1.1 - BM25 of the tenth chunk / BM25 of the first)
         / (1.5 + (cosine of the first chunk - cosine of the tenth) / w) ** 1.5

Why this form, by nDCG@10 on 13 corpora with one fixed setting for all. They are train splits, and
two corpora that have only a test split, legalsum and cranfield. "Worst" is the largest loss against
the better half on any of them, "gain" the mean one over it:

- Scores, not ranks: reciprocal rank fusion loses 0.16 where one half is much better (pydocs).
- Raw BM25, not divided by the query's best: BM25 is a sum of log-odds, so rare words earn a larger
  share by themselves. Worst -0.017 against -0.025, gain 0.017 against 0.013.
- Numbers and names: here a dense vector is least exact and a word match most informative. Worst
  -0.008, gain 0.020.
- Contrast: a half that singles out a few chunks knows more than one that scores many alike. Worst
  -0.004, gain 0.023 (at three quarters of the scale -0.010, 0.021).
- w puts the cosine on a scale that is the same for every embedder and corpus.

Tried and dropped:

- log w(q) linear in ten features of both halves. They are the three of e(q), how many of the first
  ten chunks they share, and number and rarity of words. Others are cosine and BM25 of the first
  chunk. It was learned with a listwise loss on the train queries of the other sets, 120 of each of
  ten. On the sets left out, its gain over the better half was 0.007 at best, worst -0.020; this
  form: 0.015, -0.025.
- How well either half finds the chunk that a pseudo-query was cut from. That favours BM25 on code,
where users do not use the words of the text. Pseudo-queries have dense 0.49, BM25 0.57, users'
questions 0.60, 0.38. It favours the dense half on Wikipedia (0.65, 0.52; 0.78, 0.89).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from expertrag_index.words.query_words import STOP_WORDS, query_terms
from expertrag_retriever.pseudo import pseudo_query

if TYPE_CHECKING:
    from expertrag_index.store.index import Index
    from expertrag_index.store.manifest import JSON
    from expertrag_retriever.base import Embedder

_SCALE = 1.15
_NUMBER = 2.0
_NAMES = 3.0
_APOSTROPHE = re.compile("['\u2019]")
_RANK = 10  # contrast compares the first chunk with this one
_DEFAULT_WEIGHT = 0.1
"""For stores that are too small to measure or not calibrated; MiniLM: 0.09 to 0.11 on 14 corpora.
"""

_CHUNKS = 256
_PSEUDO_QUERIES = 64
_FEWEST_CHUNKS = 32
_SEED = 0


@dataclass(frozen=True, slots=True)
class Fusion:
    """The weight of BM25 in one corpus.

    ``weight``: cosine per unit of BM25, before the evidence of a query: the standard deviation of
    the cosines between the corpus's chunks and queries about them.
    """

    weight: float = _DEFAULT_WEIGHT

    @classmethod
    def of(cls, calibration: Mapping[str, JSON]) -> Fusion:
        """Read the weight from a manifest's calibration; the default for a store without one."""
        stored = calibration.get("fusion")
        weight = stored.get("lexical_weight") if isinstance(stored, Mapping) else None
        return cls(float(weight)) if isinstance(weight, int | float) and weight > 0 else cls()

    def query_weight(self, query: str, bm25: Sequence[float], cosines: Sequence[float]) -> float:
        """Weight w · e(q) of BM25 for one query.

        :param bm25: BM25 scores of the lexical hits, best first.
        :param cosines: cosines of the dense hits, best first.
        """
        if not bm25 or bm25[0] <= 0.0 or not cosines:
            return self.weight
        tenth = bm25[_RANK - 1] if len(bm25) >= _RANK else 0.0
        lexical = 1.1 - tenth / bm25[0]
        dense = 1.5 + (cosines[0] - cosines[:_RANK][-1]) / self.weight
        return float(_SCALE * self.weight * _telling_words(query) * lexical / dense**1.5)


def calibrate_fusion(index: Index, embedder: Embedder) -> Mapping[str, JSON]:
    """Choose the weight of BM25 for a corpus without labels.

    Pseudo-queries (one sentence of a sampled chunk each) are compared with a sample of the
    chunks; the spread of their cosines sets the weight. The result goes into the manifest.
    """
    sample = index.sample_chunks(_CHUNKS, _SEED)
    keys = [key for key, _ in sample]
    queries = [pseudo_query(chunk.text, row) for row, (_, chunk) in enumerate(sample)]
    queries = [query for query in queries if query][:_PSEUDO_QUERIES]
    fusion = Fusion()
    if len(keys) >= _FEWEST_CHUNKS and queries:
        experts = list(index.partitions())
        vectors = embedder.encode_queries_by_experts(queries, experts)  # [Q, P, D]
        spreads = [
            index.dense_scores(dict(zip(experts, rows, strict=True)), keys).std()
            for rows in vectors
        ]
        fusion = Fusion(round(float(np.mean(spreads)), 6))
    return {"lexical_weight": fusion.weight, "pseudo_queries": len(queries)}


def _telling_words(query: str) -> float:
    """Evidence in [1, 6) from numbers and names.

    A name is a capitalised word other than the first of the query and stop words ("I"). If every
    word is capitalised, capitals count as no evidence.
    """
    words = query.split()
    number = any(character.isdigit() for character in query)
    others = words[1:]
    capitalised = [word for word in others if word[0].isupper()]
    names = [word for word in capitalised if not _is_stop_word(word)]
    share = len(names) / len(others) if len(capitalised) < len(others) else 0.0
    return 1.0 + _NUMBER * number + _NAMES * share


def _is_stop_word(word: str) -> bool:
    return STOP_WORDS.issuperset(query_terms(_APOSTROPHE.split(word)[0]))  # "I'm" is "I"
