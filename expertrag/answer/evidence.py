"""Evidence in passages: spans of words that are compared with a text, weighted by rarity.

Grounding compares them with an answer, abstention with the question.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from expertrag.answer.wording import Wording, union, wording
from expertrag.llm.provenance import provenance_words
from expertrag_index.sentences import spans
from expertrag_index.types import FloatArray
from expertrag_retriever.types import Passage

_RESTATED_WEIGHT = 0.5  # weight of a word that is already in the question


@dataclass(frozen=True, slots=True)
class SentenceSpan:
    """One or two adjacent sentences; character offsets into the passage's text."""

    start: int
    end: int
    wording: Wording


class Evidence:
    """The passages of one answer, split into spans, and the question."""

    def __init__(self, passages: Sequence[Passage], question: str) -> None:
        self.question = wording(question)
        self.spans: list[list[SentenceSpan]] = []
        """Spans of each passage."""
        self._sentences = 0
        self._frequency: Counter[str] = Counter()  # number of sentences with a word
        self._words: list[frozenset[str]] = []  # of each passage
        for passage in passages:
            title = wording(provenance_words(passage))
            singles = [
                SentenceSpan(start, end, wording(passage.text[start:end]))
                for start, end in spans(passage.text)
            ]
            self._sentences += len(singles)
            for single in singles:
                self._frequency.update(single.wording.words)
            self.spans.append(list(_with_pairs(singles, title)))
            self._words.append(union([title, *(single.wording for single in singles)]).words)
        self._named = self.question.exact & frozenset().union(*self._words)

    def words_of(self, number: int) -> frozenset[str]:
        """Return the words of a passage, its title and its origin."""
        return self._words[number]

    def named_elsewhere(self, number: int) -> list[str]:
        """Return the question's names and numbers in other passages, if this one has none."""
        if self.question.exact & self._words[number]:
            return []
        return sorted(self._named)

    def recall(self, wanted: frozenset[str], found: frozenset[str]) -> float:
        """Return the share of the weight of ``wanted`` in ``found``; 1 if nothing is wanted."""
        # fsum is exact, so the order of a set, which differs by process, does not matter
        total = math.fsum(map(self.weight, wanted))
        return math.fsum(map(self.weight, wanted & found)) / total if total else 1.0

    def weight(self, word: str) -> float:
        """Return the rarity of a word among the sentences, reduced if it is in the question."""
        rarity = math.log((self._sentences + 1) / (self._frequency[word] + 0.5))
        return rarity * (_RESTATED_WEIGHT if word in self.question.words else 1.0)


Encode = Callable[[Sequence[str]], FloatArray]
"""Embeds texts: unit vectors [N, D]."""

_MOST_SENTENCES = 64  # sentences to embed; five passages have about 25


def evidence_signals(
    question: str, passages: Sequence[Passage], encode: Encode
) -> dict[str, float]:
    """Return features of how well the passages cover the question; empty without passages.

    ``dense``: cosines of question and passages; ``sentence``: of question and single sentences.
    ``recall``: share of the question's words, by rarity, in one or two adjacent sentences;
    ``missing``: words not in them; ``exact``: of those, numbers and names.

    :param encode: encodes with the base model, without domain experts.
    """
    if not passages:
        return {}
    dense = sorted((passage.dense_score for passage in passages), reverse=True)
    evidence = Evidence(passages, question)
    asked = evidence.question
    recalls = [
        [(evidence.recall(asked.words, some.wording.words), some.wording.words) for some in each]
        for each in evidence.spans
    ]
    by_passage = [max((recall for recall, _ in each), default=0.0) for each in recalls]
    best = max(
        (span for each in recalls for span in each),
        key=lambda span: span[0],
        default=(0.0, frozenset()),
    )[1]
    every = frozenset().union(*(words for each in recalls for _, words in each))
    close = _sentence_similarities(question, passages, encode)
    values = {
        "sentence_best": close[0],
        "sentence_second": close[1] if len(close) > 1 else 0.0,
        "sentence_mean": sum(close) / len(close),
        "dense_best": dense[0],
        "dense_gap": dense[0] - dense[1] if len(dense) > 1 else 0.0,
        "dense_mean": sum(dense) / len(dense),
        "recall_best": max(by_passage),
        "recall_first": by_passage[0],
        "recall_second": sorted(by_passage)[-2] if len(by_passage) > 1 else 0.0,
        "recall_all": evidence.recall(asked.words, every),
        "missing": len(asked.words - best),
        "missing_everywhere": len(asked.words - every),
        "missing_weight": math.fsum(map(evidence.weight, asked.words - every)),
        "exact": len(asked.exact),
        "exact_missing": len(asked.exact - best),
        "exact_missing_everywhere": len(asked.exact - every),
        "negated": len(asked.negated),
    }
    return {f"evidence_{name}": float(value) for name, value in values.items()}


def _sentence_similarities(
    question: str, passages: Sequence[Passage], encode: Encode
) -> list[float]:
    """Return cosines of the question with the passages' sentences, descending; 0 without any."""
    sentences = [p.text[start:end] for p in passages for start, end in spans(p.text)]
    if not sentences:
        return [0.0]
    asked, *held = encode([question, *sentences[:_MOST_SENTENCES]])
    return sorted((float(asked @ vector) for vector in held), reverse=True)


def _with_pairs(singles: Sequence[SentenceSpan], title: Wording) -> Iterator[SentenceSpan]:
    """Yield every sentence and every pair of adjacent ones, each with the words of its header."""
    for first, second in zip_longest(singles, singles[1:]):
        yield SentenceSpan(first.start, first.end, union((first.wording, title)))
        if second:
            pair = union((first.wording, second.wording, title))
            yield SentenceSpan(first.start, second.end, pair)
