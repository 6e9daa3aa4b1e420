"""Evidence in passages: spans of words that are compared with a text, weighted by rarity.

Grounding compares them with an answer, abstention with the question.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from expertrag.grounding.rows import SentenceSpan, join_contents, sentence_spans, with_pairs
from expertrag.grounding.wording import Content, Wording, without_function_words, wording
from expertrag.llm.provenance import provenance_words
from expertrag_index.types import FloatArray
from expertrag_index.words.language import language_of, language_of_question
from expertrag_index.words.sentences import spans
from expertrag_retriever.types import Passage

_RESTATED_WEIGHT = 0.5  # weight of a word that is already in the question


class Evidence:
    """The passages of one answer, split into spans, and the question.

    ``crosses``: whether the question is in another language than all passages. Its words are then
    not compared with theirs, only its numbers.
    """

    def __init__(self, passages: Sequence[Passage], question: str) -> None:
        self._language = language_of_question(question)
        self.crosses = _crosses(self._language, passages)
        asked = wording(" ".join(_with_digits(question)) if self.crosses else question)
        self.question = without_function_words(asked, self._language)
        self.question_text = question
        self._passages = passages
        self.spans: list[list[SentenceSpan]] = []
        """Spans of each passage."""
        self._sentences = 0
        self._weights: dict[str, float] = {}
        self._frequency: Counter[str] = Counter()  # number of sentences with a word
        self._contents: list[Content] = []  # of each passage
        for passage in passages:
            title = wording(provenance_words(passage))
            singles = list(sentence_spans(passage))
            self._sentences += len(singles)
            for single in singles:
                self._frequency.update(single.content.holds)
            self.spans.append(list(with_pairs(singles, title)))
            self._contents.append(join_contents([title, *(single.content for single in singles)]))
        self._every = frozenset().union(*(each.holds for each in self._contents))
        self._named = self.question.exact & self._every

    def content_of(self, number: int) -> Content:
        """Return the content of a passage, its title and its origin."""
        return self._contents[number]

    def text_of(self, number: int, span: SentenceSpan) -> str:
        """Return the text of a span of a passage."""
        return self._passages[number].text[span.start : span.end]

    def read(self, claim: str) -> Wording:
        """Return the words of a claim that the passages may support.

        A claim in another language is reduced to its numbers, and the words that they share.
        """
        if not self.crosses:
            return without_function_words(wording(claim), self._language)
        shared = (word for word in claim.split() if self._shares(word))
        return wording(" ".join(shared))

    def _shares(self, word: str) -> bool:
        words = wording(word).words
        return bool(words) and (words <= self._every or any(map(str.isdigit, word)))

    def list_named_elsewhere(self, number: int) -> list[str]:
        """Return the question's names and numbers in other passages, if this one has none."""
        if self.question.exact & self._contents[number].holds:
            return []
        return sorted(self._named)

    def recall(self, wanted: Wording, held: Content) -> float:
        """Return the share of the weight of a text's words that another holds; 1 without words."""
        # fsum is exact, so the order of a set, which differs by process, does not matter
        total = math.fsum(map(self.weight, wanted.words))
        lacking = math.fsum(map(self.weight, wanted.lacking_in(held)))
        return 1.0 - lacking / total if total else 1.0

    def weight(self, word: str) -> float:
        """Return the rarity of a word among the sentences, reduced if it is in the question."""
        weight = self._weights.get(word)
        if weight is None:
            rarity = math.log((self._sentences + 1) / (self._frequency[word] + 0.5))
            weight = rarity * (_RESTATED_WEIGHT if word in self.question.words else 1.0)
            self._weights[word] = weight
        return weight


def _crosses(asked: str, passages: Sequence[Passage]) -> bool:
    """Return whether a language is known, and no passage is in it."""
    if not asked:
        return False
    others = {language_of(passage.text) for passage in passages} - {""}
    return bool(others) and asked not in others


def _with_digits(text: str) -> list[str]:
    return [word for word in text.split() if any(map(str.isdigit, word))]


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
        [(evidence.recall(asked, some.content), some.content) for some in each]
        for each in evidence.spans
    ]
    by_passage = [max((recall for recall, _ in each), default=0.0) for each in recalls]
    best = max(
        (span for each in recalls for span in each),
        key=lambda span: span[0],
        default=(0.0, Content()),
    )[1]
    every = join_contents(held for each in recalls for _, held in each)
    lacking, lacking_everywhere = asked.lacking_in(best), asked.lacking_in(every)
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
        "recall_all": evidence.recall(asked, every),
        "missing": len(lacking),
        "missing_everywhere": len(lacking_everywhere),
        "missing_weight": math.fsum(map(evidence.weight, lacking_everywhere)),
        "exact": len(asked.exact),
        "exact_missing": len(asked.exact & lacking),
        "exact_missing_everywhere": len(asked.exact & lacking_everywhere),
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
